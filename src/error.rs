//! The one error type. Every variant says what was got, what was expected, and what to do.

use std::time::Duration;

use crate::backend::Backend;
use crate::cancel::Stopped;

/// Why a loop was not run to its end. After an error of a kernel the caller's arrays hold what they held before the call.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The WGSL text does not parse or validate. `message` shows the place, the source line and a caret.
    #[error("{message}")]
    Wgsl {
        /// The kernel's name, or the file it came from.
        kernel: String,
        /// 1-based line in the user's text; 0 when the error has no place.
        line: u32,
        /// 1-based column, in characters.
        column: u32,
        /// The whole diagnostic, several lines, ready to print.
        message: String,
    },

    /// Valid WGSL that uses something forall does not run. Refused when the kernel is made, never at run time.
    #[error("{message}")]
    Unsupported {
        /// The kernel's name.
        kernel: String,
        /// What is not supported: "sampled textures", "f16".
        construct: String,
        /// 1-based line in the user's text; 0 when unknown.
        line: u32,
        /// The whole diagnostic, ready to print.
        message: String,
    },

    /// The call binds more or fewer arguments than the kernel has parameters.
    #[error("{kernel}: {what}: got {got}, expected {expected} ({names}); give one for each, in this order")]
    ArgumentCount {
        /// The kernel's name.
        kernel: String,
        /// "inputs" or "outputs".
        what: &'static str,
        /// How many were given.
        got: usize,
        /// How many the kernel takes.
        expected: usize,
        /// Their names, comma separated.
        names: String,
    },

    /// [`Kernel::with_closure`](crate::Kernel::with_closure) joins a kernel of WGSL alone with one of a closure; these are
    /// others.
    #[error("{kernel}: with_closure got {got}, expected {expected}")]
    WrongBody {
        /// The kernel's name.
        kernel: String,
        /// What the kernel is made of.
        got: &'static str,
        /// What it should be made of.
        expected: &'static str,
    },

    /// [`Kernel::named`](crate::Kernel::named) was given a name twice.
    #[error("{kernel}: `{name}` names two {what}, expected a different name for each")]
    DuplicateName {
        /// The kernel's name.
        kernel: String,
        /// "parameters" or "outputs".
        what: &'static str,
        /// The name.
        name: String,
    },

    /// A name was bound that the kernel does not have.
    #[error("{kernel}: there is no parameter `{name}`; it has {names}")]
    UnknownParameter {
        /// The kernel's name.
        kernel: String,
        /// The name given.
        name: String,
        /// The names it has, comma separated.
        names: String,
    },

    /// A parameter has no value.
    #[error("{kernel}: parameter `{name}` ({expected}) has no value; bind a scalar, an array or Index to it")]
    MissingParameter {
        /// The kernel's name.
        kernel: String,
        /// The parameter without a value.
        name: String,
        /// Its type.
        expected: String,
    },

    /// A name was bound twice, or once by position and once by name.
    #[error("{kernel}: `{name}` is bound twice; bind it once, by position or by name")]
    DuplicateParameter {
        /// The kernel's name.
        kernel: String,
        /// The parameter or output.
        name: String,
    },

    /// A value of the wrong type or kind (a number, an array, Index) is bound to a parameter or output.
    #[error("{kernel}: `{name}` got {got}, expected {expected}; {hint}")]
    WrongType {
        /// The kernel's name.
        kernel: String,
        /// The parameter or output.
        name: String,
        /// The kind and type given.
        got: String,
        /// The kinds and type the kernel takes.
        expected: String,
        /// What to do.
        hint: String,
    },

    /// Bytes given for an array or a value are not a whole number of elements, or not aligned.
    #[error(
        "{kernel}: `{name}` got {got}, expected whole elements of {ty} ({size} bytes each) aligned to {align} bytes; copy them into a Vec of that type"
    )]
    Misaligned {
        /// The kernel's name.
        kernel: String,
        /// The parameter or output.
        name: String,
        /// What is wrong with the bytes.
        got: String,
        /// The element type.
        ty: String,
        /// Bytes of one element.
        size: usize,
        /// The alignment it needs, in bytes.
        align: usize,
    },

    /// Arrays of one call disagree on the number of elements.
    #[error(
        "{kernel}: `{name}` has {got} elements, expected {expected}, the length of `{other}`; every array of one call has the same length"
    )]
    LengthMismatch {
        /// The kernel's name.
        kernel: String,
        /// The array that disagrees.
        name: String,
        /// Its elements.
        got: usize,
        /// The elements of the array it is compared with.
        expected: usize,
        /// The array it is compared with.
        other: String,
    },

    /// The loop is longer than its index type can count.
    #[error(
        "{kernel}: the loop has {got} elements, at most {limit} are possible ({reason}); split the arrays and call once per part"
    )]
    TooLong {
        /// The kernel's name.
        kernel: String,
        /// Elements asked for.
        got: usize,
        /// The most that one call takes.
        limit: usize,
        /// What sets the limit.
        reason: String,
    },

    /// The kernel has another kind of body than this call runs.
    #[error("{kernel}: {call} got {got}; {hint}")]
    WrongCall {
        /// The kernel's name.
        kernel: String,
        /// The method called.
        call: &'static str,
        /// What the kernel is.
        got: &'static str,
        /// Which method runs it.
        hint: &'static str,
    },

    /// The index space of a launch is larger than WGSL can count.
    #[error(
        "{kernel}: the grid got {got}, expected {expected}; launch it in parts, with an offset in a uniform"
    )]
    GridTooLarge {
        /// The kernel's name.
        kernel: String,
        /// The grid asked for.
        got: String,
        /// What there is room for.
        expected: String,
    },

    /// A call names a variable, or a struct, that the shader does not have.
    #[error("{kernel}: there is no variable {name}; {hint}the shader has: {names}")]
    UnknownBinding {
        /// The kernel's name.
        kernel: String,
        /// The name or `@group(…) @binding(…)` given.
        name: String,
        /// The name it may have been meant to be.
        hint: String,
        /// The shader's variables, comma separated.
        names: String,
    },

    /// A variable of the shader is left without data.
    #[error("{kernel}: nothing is bound to `{name}` ({place}); {hint}")]
    MissingBinding {
        /// The kernel's name.
        kernel: String,
        /// The variable.
        name: String,
        /// Its declaration, such as `@group(0) @binding(1) var<storage, read> x: array<f32>`.
        place: String,
        /// What to bind.
        hint: String,
    },

    /// Data that may only be read is bound to a variable that the shader writes.
    #[error("{kernel}: `{name}` got {got}, expected {expected}, because the shader declares it {access}")]
    WrongAccess {
        /// The kernel's name.
        kernel: String,
        /// The variable.
        name: String,
        /// What was given.
        got: String,
        /// What may be written.
        expected: &'static str,
        /// How the shader declares it.
        access: String,
    },

    /// Data bound to a variable of a shader does not have the layout of its WGSL type.
    #[error("{kernel}: `{name}` got {got}, expected {expected}; {help}")]
    WrongLayout {
        /// The kernel's name.
        kernel: String,
        /// The variable, or the struct.
        name: String,
        /// The Rust type given, with its size, or the number of bytes.
        got: String,
        /// The WGSL type, with its size.
        expected: String,
        /// What to do, and in the lines below the WGSL type in memory: every member with its offset and size, every array with
        /// its stride.
        help: Box<str>,
    },

    /// The same array is bound to two variables of one launch, and the shader writes one of them.
    #[error(
        "{kernel}: `{name}` and `{other}` are bound to the same array, and the shader writes `{name}`; \
         bind a copy to one of them"
    )]
    Aliased {
        /// The kernel's name.
        kernel: String,
        /// The variable that the shader writes.
        name: String,
        /// The other one.
        other: String,
    },

    /// The time limit of [`Dispatcher::with_time_limit`](crate::Dispatcher::with_time_limit), or of a
    /// [`tasks`](crate::tasks) loop, was over before the call was done.
    #[error("{kernel}: stopped after the time limit of {limit:?}; give it more time, or less to do")]
    TimeLimit {
        /// The kernel's name, or the loop's verb.
        kernel: String,
        /// The limit.
        limit: Duration,
    },

    /// The [`Cancel`](crate::Cancel) of the call was set before it was done.
    #[error("{kernel}: cancelled; take a new Cancel for the next call")]
    Cancelled {
        /// The kernel's name, or the loop's verb.
        kernel: String,
    },

    /// An item of a [`tasks`](crate::tasks) loop failed: its body panicked, returned an error, or took longer than an item may.
    #[error("item {index}: {message}")]
    Item {
        /// Which item, counted from 0 in the order of the loop. If several failed, the first of those that ran.
        index: usize,
        /// The words of the panic or of the body's own error.
        message: String,
    },

    /// What a [`Task`](crate::tasks::Task) ran failed: it panicked, or returned an error.
    #[error("task: {message}")]
    Task {
        /// The words of the panic or of the error.
        message: String,
    },

    /// The file of a [`Checkpoint`](crate::tasks::Checkpoint) cannot be used, or not any more. Found damaged, foreign or in use,
    /// it is left as it was, and no item has run.
    #[error("checkpoint {path} {message}")]
    Checkpoint {
        /// The file.
        path: String,
        /// What is the matter with it, what was expected, and what to do.
        message: String,
    },

    /// The policy names a backend that cannot run this loop here.
    #[error("{kernel}: cannot run on {backend}: {reason}")]
    Unavailable {
        /// The kernel's name.
        kernel: String,
        /// The backend asked for.
        backend: Backend,
        /// Why not, and what would change it.
        reason: String,
    },

    /// The GPU refused or lost the work.
    #[error("{kernel}: gpu: {what} failed: {message}")]
    Gpu {
        /// The kernel's name.
        kernel: String,
        /// The step: "pipeline", "allocation", "submit", "readback".
        what: &'static str,
        /// The driver's or wgpu's words.
        message: String,
        /// Whether the device is gone and every later call needs a new one.
        lost: bool,
    },

    /// A backend name that is none.
    #[error(transparent)]
    UnknownBackend(#[from] crate::backend::UnknownBackend),

    /// forall contradicts itself: a bug in forall, not in the call. Nothing was written.
    #[error(
        "{kernel}: internal error: {message}; this is a bug in forall, please report it with the kernel's text"
    )]
    Internal {
        /// The kernel's name.
        kernel: String,
        /// What went wrong.
        message: String,
    },

    /// A text is not the results of a benchmark, or not of a schema that this library reads.
    #[error("{name}: {message}")]
    Results {
        /// Where the text came from.
        name: String,
        /// What was got, what was expected, and what to do.
        message: String,
    },

    /// A process that was to make a call for a benchmark did not say what came of it.
    #[error("{message}")]
    Process {
        /// Which call, what was got from the process, and its own words.
        message: String,
    },

    /// An environment variable or option holds something it cannot.
    #[error("{name}=`{got}`: expected {expected}")]
    Config {
        /// The variable or option.
        name: &'static str,
        /// Its value.
        got: String,
        /// What it may hold.
        expected: &'static str,
    },
}

impl Error {
    /// A call that its watch has stopped. The limit is filled in by whoever knows it, see [`Error::with_limit`].
    #[cold]
    pub(crate) fn stopped(kernel: &str, why: Stopped) -> Self {
        let kernel = kernel.to_owned();
        match why {
            Stopped::Cancelled => Self::Cancelled { kernel },
            Stopped::Late => Self::TimeLimit { kernel, limit: Duration::ZERO },
        }
    }

    /// The same with the time limit that was in force.
    #[cold]
    pub(crate) fn with_limit(self, limit: Option<Duration>) -> Self {
        match (self, limit) {
            (Self::TimeLimit { kernel, .. }, Some(limit)) => Self::TimeLimit { kernel, limit },
            (error, _) => error,
        }
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
