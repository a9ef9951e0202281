//! What is done to a program between lowering and execution. No pass changes a bit of any result.

mod classify;
mod live;
#[cfg(test)]
mod tests;

pub(crate) use classify::classify;
