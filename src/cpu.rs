//! Which vector instructions this CPU has: detected once, ordered, nameable, and forced lower by tests.
//!
//! Names and detection only; the code that uses a level is in `spmd::block`, `spmd::math` and `kernel::closure`.

use std::sync::OnceLock;

use fearless_simd::Level;

/// A set of vector instructions that code is compiled for and chosen at run time, weakest first within one architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CpuLevel {
    /// Whatever the build target guarantees where nothing below applies.
    Fallback,
    /// x86-64 as it began: 4 lanes.
    Sse2,
    /// x86-64-v2: 4 lanes.
    Sse42,
    /// x86-64-v3, AVX2 and FMA: 8 lanes.
    Avx2,
    /// Ice Lake's AVX-512: 16 lanes and mask registers.
    Avx512,
    /// AArch64: 4 lanes and FMA.
    Neon,
    /// WebAssembly's fixed-width vectors: 4 lanes.
    WasmSimd128,
}

impl CpuLevel {
    /// The best level of this CPU. Detected on the first call; later calls read one atomic.
    pub fn detected() -> Self {
        static DETECTED: OnceLock<CpuLevel> = OnceLock::new();
        *DETECTED.get_or_init(|| Self::of(Level::new()))
    }

    /// The level that code compiled without run-time choice has in this build, as [`Kernel::lanes`](crate::Kernel) closures
    /// over `wide` vectors do. `RUSTFLAGS=-Ctarget-cpu=native` makes it that of the CPU.
    pub const fn of_build() -> Self {
        if cfg!(target_feature = "avx512f") {
            Self::Avx512
        } else if cfg!(target_feature = "avx2") {
            Self::Avx2
        } else if cfg!(target_feature = "sse4.2") {
            Self::Sse42
        } else if cfg!(target_feature = "sse2") {
            Self::Sse2
        } else if cfg!(target_feature = "neon") {
            Self::Neon
        } else if cfg!(target_feature = "simd128") {
            Self::WasmSimd128
        } else {
            Self::Fallback
        }
    }

    /// Every level that this CPU can run, weakest first. Never empty.
    pub fn available() -> Vec<Self> {
        [Self::Fallback, Self::Sse2, Self::Sse42, Self::Avx2, Self::Avx512, Self::Neon, Self::WasmSimd128]
            .into_iter()
            .filter(|level| level.to_simd().is_some())
            .collect()
    }

    /// Whether a fused multiply-add is one instruction: the levels that give the same bits as each other.
    pub const fn has_fma(self) -> bool {
        matches!(self, Self::Avx2 | Self::Avx512 | Self::Neon)
    }

    /// 32-bit lanes of one vector register.
    pub const fn lanes(self) -> usize {
        match self {
            Self::Fallback => 1,
            Self::Sse2 | Self::Sse42 | Self::Neon | Self::WasmSimd128 => 4,
            Self::Avx2 => 8,
            Self::Avx512 => 16,
        }
    }

    /// The name that reports show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fallback => "scalar",
            Self::Sse2 => "SSE2",
            Self::Sse42 => "SSE4.2",
            Self::Avx2 => "AVX2+FMA",
            Self::Avx512 => "AVX-512",
            Self::Neon => "NEON",
            Self::WasmSimd128 => "WASM SIMD",
        }
    }

    /// The proof that this CPU has the level, or `None` where it has not.
    pub(crate) fn to_simd(self) -> Option<Level> {
        let level = Level::new();
        match self {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Sse2 => level.as_sse2().map(Level::Sse2),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Sse42 => level.as_sse4_2().map(Level::Sse4_2),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Avx2 => level.as_avx2().map(Level::Avx2),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Avx512 => level.as_avx512().map(Level::Avx512),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => level.as_neon().map(Level::Neon),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::WasmSimd128 => level.as_wasm_simd128().map(Level::WasmSimd128),
            Self::Fallback => level.is_fallback().then_some(level),
            #[allow(unreachable_patterns, reason = "which levels are left depends on the architecture")]
            _ => None,
        }
    }

    fn of(level: Level) -> Self {
        match level {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Sse2(_) => Self::Sse2,
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Sse4_2(_) => Self::Sse42,
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Avx2(_) => Self::Avx2,
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Avx512(_) => Self::Avx512,
            #[cfg(target_arch = "aarch64")]
            Level::Neon(_) => Self::Neon,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Level::WasmSimd128(_) => Self::WasmSimd128,
            #[allow(unreachable_patterns, reason = "which levels are left depends on the architecture")]
            _ => Self::Fallback,
        }
    }
}

impl std::fmt::Display for CpuLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detected_is_the_best_available() {
        let available = CpuLevel::available();
        assert_eq!(available.last(), Some(&CpuLevel::detected()), "{available:?}");
        assert!(available.is_sorted(), "{available:?}");
    }

    #[test]
    fn a_level_maps_to_itself() {
        for level in CpuLevel::available() {
            assert_eq!(CpuLevel::of(level.to_simd().unwrap()), level);
        }
    }
}
