//! How a backend looks, wherever it is drawn: a colour by its class (the style has it, in light and in dark), a marker and a dash, so
//! that it is told without colour too.

use crate::backend::Backend;

/// A marker's path around a place, `size` from its middle to its side.
pub(super) fn marker(backend: Backend, x: f64, y: f64, size: f64) -> String {
    match backend {
        // Circles, squares and triangles of about the same area.
        Backend::Simd => {
            format!(
                "M{:.1} {y:.1}a{size:.1} {size:.1} 0 1 0 {:.1} 0a{size:.1} {size:.1} 0 1 0 {:.1} 0Z",
                x - size,
                2.0 * size,
                -2.0 * size
            )
        }
        Backend::Threads => {
            let half = 0.9 * size;
            format!(
                "M{:.1} {:.1}h{:.1}v{:.1}h{:.1}Z",
                x - half,
                y - half,
                2.0 * half,
                2.0 * half,
                -2.0 * half
            )
        }
        Backend::Gpu => format!(
            "M{x:.1} {:.1}L{:.1} {:.1}H{:.1}Z",
            y - 1.25 * size,
            x + 1.2 * size,
            y + 0.9 * size,
            x - 1.2 * size
        ),
    }
}

/// The marker within text.
pub(super) fn icon(backend: Backend) -> String {
    format!(
        "<svg class=icon viewBox=\"0 0 10 10\" aria-hidden=true><path class=\"fill {backend}\" d=\"{}\"/></svg>",
        marker(backend, 5.0, 5.0, 4.0)
    )
}
