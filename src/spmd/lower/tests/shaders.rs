//! Shaders as people write them: all of them are lowered, verified and optimised.

use super::lowered;
use crate::spmd::ir::Order;
use crate::spmd::passes;

macro_rules! shaders {
    ($($name:ident $order:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let source = include_str!(concat!("shaders/", stringify!($name), ".wgsl"));
            let mut program = lowered(source).unwrap_or_else(|error| {
                let place = error.span.location(source);
                panic!("line {}: {}", place.line_number, error.construct)
            });
            assert_eq!(program.order, Order::$order);
            passes::optimise(&mut program);
            program.verify().unwrap_or_else(|rule| panic!("{rule}\n{program}"));
        }
    )*};
}

shaders! {
    bitonic_sort Workgroups,
    bvh Rows,
    decoupled_scan Workgroups,
    features Workgroups,
    fft Workgroups,
    fluid Workgroups,
    hash_table Workgroups,
    histogram Workgroups,
    matmul Workgroups,
    particles Workgroups,
    sorts Workgroups,
}
