//! [`Array`](crate::Array)s as arguments of a loop over elements: their bytes on the host, for as long as the call takes.

use std::sync::Arc;

use super::args::{Arg, Args, OutputArg, OutputArgs, Value};
use crate::array::{Bytes, Held, Resident};
use crate::error::{Error, Result};

/// Calls `run` with the same arguments in which every array is a slice of its bytes. An output's array is locked meanwhile.
///
/// # Errors
/// Those of `run`, [`Error::Aliased`] where an output's array is bound elsewhere too, and those of arrays that only a lost GPU had.
#[inline]
pub(crate) fn with_arrays<R>(
    kernel: &str,
    args: Args<'_>,
    outputs: OutputArgs<'_>,
    run: impl FnOnce(Args<'_>, OutputArgs<'_>) -> Result<R>,
) -> Result<R> {
    let is_array = |value: &Value<'_>| matches!(value, Value::Resident { .. });
    if !args.0.iter().any(|(_, arg)| is_array(&arg.0)) && !outputs.0.iter().any(|(_, o)| o.array.is_some()) {
        return run(args, outputs);
    }
    with_hosts(kernel, args, outputs, run)
}

/// The same where there is an array. Apart, so that a call without one moves nothing.
#[inline(never)]
fn with_hosts<R>(
    kernel: &str,
    args: Args<'_>,
    outputs: OutputArgs<'_>,
    run: impl FnOnce(Args<'_>, OutputArgs<'_>) -> Result<R>,
) -> Result<R> {
    let written: Vec<Option<Arc<dyn Resident>>> =
        outputs.0.iter().map(|(_, output)| output.array.map(|array| array.shared())).collect();
    let read: Vec<Option<Arc<dyn Resident>>> = args
        .0
        .iter()
        .map(|(_, arg)| match arg.0 {
            Value::Resident { array, .. } => Some(array.shared()),
            _ => None,
        })
        .collect();
    for (at, array) in written.iter().enumerate() {
        let Some(key) = array.as_ref().map(|array| array.key()) else { continue };
        let same = |other: &Option<Arc<dyn Resident>>| other.as_ref().is_some_and(|o| o.key() == key);
        let other = match (read.iter().position(same), written[..at].iter().position(same)) {
            (Some(input), _) => format!("input {}", input + 1),
            (_, Some(output)) => format!("output {}", output + 1),
            (None, None) => continue,
        };
        let name = format!("output {}", at + 1);
        return Err(Error::Aliased { kernel: kernel.to_owned(), name, other });
    }

    // What is only read first, then locks in one order: who holds one array and waits for another could wait forever.
    let mut snapshots: Vec<Option<Arc<dyn Bytes>>> = Vec::with_capacity(read.len());
    for array in &read {
        snapshots.push(array.as_ref().map(|array| array.snapshot()).transpose()?);
    }
    let mut order: Vec<(usize, &Arc<dyn Resident>)> =
        written.iter().enumerate().filter_map(|(at, array)| Some((at, array.as_ref()?))).collect();
    order.sort_by_key(|(_, array)| array.key());
    let mut held: Vec<Option<Box<dyn Held + '_>>> = written.iter().map(|_| None).collect();
    for (at, array) in order {
        held[at] = Some(array.hold());
    }

    // Collected anew: a SmallVec of borrows keeps the lifetime it was made with.
    let mut with = Args::new();
    for ((name, arg), snapshot) in args.0.into_iter().zip(&snapshots) {
        let value = match (arg.0, snapshot) {
            (Value::Resident { ty, .. }, Some(snapshot)) => Value::Array { data: snapshot.bytes(), ty },
            (value, _) => value,
        };
        with.0.push((name, Arg(value)));
    }
    let mut with_outputs = OutputArgs::new();
    for ((name, output), held) in outputs.0.into_iter().zip(&mut held) {
        let data = match held {
            Some(held) => held.host_mut()?,
            None => output.data,
        };
        with_outputs.0.push((name, OutputArg { data, array: None, ty: output.ty }));
    }
    run(with, with_outputs)
}
