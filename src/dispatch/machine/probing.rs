//! The mark that a process leaves beside the profile while it opens and probes a GPU. Drivers crash, and hang: who finds the mark of a
//! process that did not live to take it away leaves the GPU out, and says so.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::profile::{self, Access};

/// Where a probe of a GPU leaves its mark.
fn mark(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".probing");
    path.with_file_name(name)
}

/// A probe takes less, whatever the driver; who still has its mark then hangs.
const PROBE: Duration = Duration::from_secs(60);

/// A GPU is being probed: if the process does not live to end this, the next ones leave the GPU out.
#[derive(Debug)]
pub(crate) struct Probing(Option<PathBuf>);

impl Probing {
    /// Leaves the mark, where the profile may be written.
    pub(crate) fn begin(access: &Access) -> Self {
        let leave = |path: &Path| {
            let mark = mark(path);
            if let Some(folder) = mark.parent() {
                fs::create_dir_all(folder)?;
            }
            // Another process that probes at the same time owns it.
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&mark)?
                .write_all(std::process::id().to_string().as_bytes())?;
            io::Result::Ok(mark)
        };
        Self(access.writable().ok().and_then(|path| leave(path).ok()))
    }

    /// Whether an earlier process did not live to see its GPU answer.
    pub(crate) fn went_wrong(access: &Access) -> bool {
        let Some(mark) = access.path().map(mark) else { return false };
        let Some(text) = profile::text(&mark) else { return false };
        let old = fs::metadata(&mark).and_then(|meta| meta.modified()).is_ok_and(|then| {
            // A clock that was set back makes it as new as can be.
            SystemTime::now().duration_since(then).unwrap_or_default() > PROBE
        });
        // The number may not be written yet.
        let pid = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<u32>().ok());
        old || pid.is_some_and(|pid| !is_alive(pid))
    }

    /// Takes an earlier process's mark away: somebody wants to try again.
    pub(crate) fn forget(access: &Access) {
        if let Ok(path) = access.writable() {
            let _ = fs::remove_file(mark(path));
        }
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        if let Some(mark) = &self.0 {
            let _ = fs::remove_file(mark);
        }
    }
}

/// Whether a process is there, as far as the system tells without being asked in unsafe ways; elsewhere only age tells.
fn is_alive(pid: u32) -> bool {
    let processes = Path::new("/proc");
    !cfg!(target_os = "linux") || !processes.join("self").exists() || processes.join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that nobody has.
    fn access(name: &str) -> (Access, PathBuf) {
        let folder = std::env::temp_dir().join(format!("forall-probing-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let path = folder.join("profile.json");
        (Access::Full(path.clone()), mark(&path))
    }

    #[test]
    fn the_mark_is_there_while_somebody_probes() {
        let (access, mark) = access("there");
        assert!(!Probing::went_wrong(&access));
        let probing = Probing::begin(&access);
        assert!(mark.exists());
        assert!(!Probing::went_wrong(&access), "it is this process, which is alive");
        let second = Probing::begin(&access);
        drop(second);
        assert!(mark.exists(), "it is the first one's");
        drop(probing);
        assert!(!mark.exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_dead_process_has_left_it() {
        let (access, mark) = access("dead");
        let mut child = std::process::Command::new("true").spawn().expect("`true` is there");
        let pid = child.id();
        child.wait().expect("it ends");
        drop(Probing::begin(&access));
        fs::write(&mark, pid.to_string()).expect("writes");
        assert!(Probing::went_wrong(&access));
        assert!(Probing::went_wrong(&Access::ReadOnly(access.path().expect("a path").to_owned(), "")));
        assert!(!Probing::went_wrong(&Access::Off("")));
        Probing::forget(&access);
        assert!(!Probing::went_wrong(&access));
    }

    #[test]
    fn an_old_one_is_of_a_process_that_hangs() {
        let (access, mark) = access("old");
        drop(Probing::begin(&access));
        for text in [&std::process::id().to_string(), "", "not a number"] {
            fs::write(&mark, text).expect("writes");
            assert!(!Probing::went_wrong(&access), "{text:?}: it may be about to be written");
            let file = OpenOptions::new().write(true).open(&mark).expect("opens");
            file.set_modified(SystemTime::now() - 2 * PROBE).expect("sets its time");
            assert!(Probing::went_wrong(&access), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_written_stops_nobody() {
        let (access, mark) = access("folder");
        fs::create_dir_all(&mark).expect("a folder in the place of the mark");
        drop(Probing::begin(&access));
        Probing::forget(&access);
        assert!(mark.is_dir() && !Probing::went_wrong(&access));
        drop(Probing::begin(&Access::Full("/dev/null/no/folder".into())));
        drop(Probing::begin(&Access::Full(PathBuf::new())));
    }
}
