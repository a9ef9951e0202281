//! Variables, pointers, arrays and buffers.
