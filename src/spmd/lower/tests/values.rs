//! Operators, conversions, matrices and built-in functions.
