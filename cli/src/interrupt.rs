//! Ctrl-C: the first one stops what runs and leaves every file as it was; the second one ends the process at once. So do the other
//! requests to end: SIGTERM, and SIGHUP of a terminal that is closed.

use std::sync::OnceLock;

use forall::Cancel;

use crate::Failure;

/// What a shell gives for a process that Ctrl-C ended: 128 + SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

static CANCEL: OnceLock<Cancel> = OnceLock::new();

/// The flag that Ctrl-C sets from here on.
pub(crate) fn cancel() -> Result<Cancel, Failure> {
    if let Some(cancel) = CANCEL.get() {
        return Ok(cancel.clone());
    }
    let cancel = CANCEL.get_or_init(Cancel::new).clone();
    let flag = cancel.clone();
    ctrlc::set_handler(move || {
        if flag.is_cancelled() {
            std::process::exit(EXIT_CODE.into());
        }
        flag.cancel();
    })
    .map_err(|e| Failure::Run(format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(cancel)
}

/// Whether Ctrl-C was pressed.
pub(crate) fn requested() -> bool {
    CANCEL.get().is_some_and(Cancel::is_cancelled)
}
