//! Checks that a program keeps the rules of the IR.
