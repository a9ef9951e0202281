//! WGSL in, numbers out.
