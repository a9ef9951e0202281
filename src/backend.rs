//! The names of the backends and the policy that picks among them. Names only: no code that runs anything.

use std::fmt;
use std::str::FromStr;

/// Where a loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A GPU, through `wgpu`.
    Gpu,
    /// The SIMD lanes of the calling thread.
    Simd,
    /// The SIMD lanes of every core, through the process-wide thread pool.
    Threads,
}

impl Backend {
    /// Every backend, in the order reports list them.
    pub const ALL: [Self; 3] = [Self::Gpu, Self::Simd, Self::Threads];

    /// The lower-case name used by the command line, the environment and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Simd => "simd",
            Self::Threads => "threads",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A backend name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is no backend; the names are gpu, simd, threads")]
pub struct UnknownBackend {
    /// The text given.
    pub got: String,
}

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.name() == text)
            .ok_or_else(|| UnknownBackend { got: text.to_owned() })
    }
}

/// Which backends a dispatcher may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Any of them: the dispatcher chooses by predicted cost and says why.
    #[default]
    Auto,
    /// This one. Where it cannot run the loop the call is an error; nothing else is tried.
    Only(Backend),
}
