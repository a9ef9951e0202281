//! What is refused, and programs made to hurt.
