//! Built-in values over grids, in both orders; which lanes run at all.

use super::launch::{Cut, check, check_cut, run};
use super::*;
use crate::spmd::grid::Grid;

const BUILTINS: [Builtin; 15] = [
    Builtin::GlobalId(0),
    Builtin::GlobalId(1),
    Builtin::GlobalId(2),
    Builtin::LocalId(0),
    Builtin::LocalId(1),
    Builtin::LocalId(2),
    Builtin::LocalIndex,
    Builtin::WorkgroupId(0),
    Builtin::WorkgroupId(1),
    Builtin::WorkgroupId(2),
    Builtin::NumWorkgroups(0),
    Builtin::NumWorkgroups(1),
    Builtin::NumWorkgroups(2),
    Builtin::SubgroupInvocationId,
    Builtin::SubgroupId,
];

const SIZES: [[u32; 3]; 19] = [
    [1, 1, 1],
    [3, 1, 1],
    [15, 1, 1],
    [16, 1, 1],
    [17, 1, 1],
    [32, 1, 1],
    [63, 1, 1],
    [64, 1, 1],
    [100, 1, 1],
    [256, 1, 1],
    [8, 8, 1],
    [16, 16, 1],
    [32, 2, 1],
    [4, 4, 4],
    [1, 64, 1],
    [1, 3, 7],
    [5, 1, 3],
    [16, 1, 3],
    [2, 8, 3],
];

/// Each invocation stores all of them to a place of its own, found from `global_invocation_id` alone, and adds 1 to what is
/// behind them there: poison plus 1 says that it ran once.
fn everything(size: [u32; 3], width: u32, height: u32, order: Order) -> Program {
    let mut p = program(&["Out"]);
    (p.workgroup_size, p.order) = (size, order);
    let mut body = vec![];
    let [x, y, z] = [0, 1, 2].map(|axis| {
        let id = Op::Builtin(Builtin::GlobalId(axis));
        def(&mut p, &mut body, Ty::U32, id)
    });
    let (width, height) = (int(&mut p, &mut body, width), int(&mut p, &mut body, height));
    let slab = binary(&mut p, &mut body, Ty::U32, Binary::MulI, z, height);
    let row = binary(&mut p, &mut body, Ty::U32, Binary::AddI, slab, y);
    let row = binary(&mut p, &mut body, Ty::U32, Binary::MulI, row, width);
    let at = binary(&mut p, &mut body, Ty::U32, Binary::AddI, row, x);
    let words = int(&mut p, &mut body, BUILTINS.len() as u32 + 1);
    let at = binary(&mut p, &mut body, Ty::U32, Binary::MulI, at, words);
    for (word, builtin) in BUILTINS.into_iter().enumerate() {
        let word = int(&mut p, &mut body, word as u32);
        let index = binary(&mut p, &mut body, Ty::U32, Binary::AddI, at, word);
        let value = def(&mut p, &mut body, Ty::U32, Op::Builtin(builtin));
        store(&mut body, buffer(0), index, value);
    }
    let (last, one) = (int(&mut p, &mut body, BUILTINS.len() as u32), int(&mut p, &mut body, 1));
    let index = binary(&mut p, &mut body, Ty::U32, Binary::AddI, at, last);
    let old = load(&mut p, &mut body, Ty::U32, buffer(0), index);
    let new = binary(&mut p, &mut body, Ty::U32, Binary::AddI, old, one);
    store(&mut body, buffer(0), index, new);
    p.body = body;
    p
}

#[test]
fn every_builtin_of_whole_workgroups() {
    for size in SIZES {
        for workgroups in [[1, 1, 1], [3, 1, 1], [1, 2, 3], [2, 3, 1]] {
            for order in [Order::Rows, Order::Workgroups] {
                let grid = Grid::whole(workgroups, size).unwrap();
                let [x, y, z] = grid.invocations;
                let p = everything(size, x, y, order);
                let out = vec![POISON; (x * y * z) as usize * (BUILTINS.len() + 1)];
                check_cut(&p, &[out], &grid, &[Cut::Whole, Cut::Singly]);
            }
        }
    }
}

#[test]
fn the_largest_workgroup() {
    for size in [[1024, 1, 1], [1, 1024, 1], [32, 32, 1], [8, 16, 8]] {
        let grid = Grid::whole([2, 1, 2], size).unwrap();
        let [x, y, z] = grid.invocations;
        let p = everything(size, x, y, Order::Workgroups);
        check(&p, &[vec![POISON; (x * y * z) as usize * (BUILTINS.len() + 1)]], &grid);
    }
}

/// Rows that end inside a workgroup, a chunk, a block.
#[test]
fn every_builtin_of_rows_that_are_cut_off() {
    for size in [[64, 1, 1], [16, 2, 1], [7, 3, 2]] {
        for invocations in
            [[1, 1, 1], [15, 3, 2], [16, 1, 4], [17, 2, 2], [63, 1, 1], [1025, 2, 1], [2050, 1, 1]]
        {
            let workgroups = [0, 1, 2].map(|axis| u32::div_ceil(invocations[axis], size[axis]));
            let grid = Grid { workgroups, invocations };
            let [x, y, z] = invocations;
            let p = everything(size, x, y, Order::Rows);
            check(&p, &[vec![POISON; (x * y * z) as usize * (BUILTINS.len() + 1)]], &grid);
        }
    }
}

#[test]
fn grids_of_nothing() {
    for order in [Order::Rows, Order::Workgroups] {
        for workgroups in [[0, 1, 1], [1, 0, 1], [4, 4, 0]] {
            let p = everything([8, 4, 2], 8, 4, order);
            let grid = Grid::whole(workgroups, p.workgroup_size).unwrap();
            let code = Code::compile(&p, CpuLevel::detected());
            assert_eq!(code.pieces(&grid), 0);
            assert_eq!(run(&p, CpuLevel::detected(), &[vec![7; 9]], &grid, Cut::Whole), [vec![7; 9]]);
        }
    }
}

/// Threads own neighbouring words of a buffer, at every alignment: lanes that are not theirs stay as they are.
#[test]
fn stores_touch_no_neighbours() {
    for order in [Order::Rows, Order::Workgroups] {
        for size in [1, 3, 15, 17, 31, 33, 100] {
            for stride in [1, 2, 5] {
                let mut p = program(&["Out"]);
                (p.workgroup_size, p.order) = ([size, 1, 1], order);
                let mut body = vec![];
                let i = id(&mut p, &mut body);
                let by = int(&mut p, &mut body, stride);
                let at = binary(&mut p, &mut body, Ty::U32, Binary::MulI, i, by);
                // Lanes behind the end of a workgroup have another one than whose place theirs would be.
                let local = def(&mut p, &mut body, Ty::U32, Op::Builtin(Builtin::LocalIndex));
                let value = binary(&mut p, &mut body, Ty::U32, Binary::AddI, i, local);
                store(&mut body, buffer(0), at, value);
                p.body = body;
                let grid = Grid::whole([40, 1, 1], p.workgroup_size).unwrap();
                let words = (size * 40 * stride) as usize;
                for words in [words, words - 1] {
                    check_cut(&p, &[vec![POISON; words]], &grid, &[Cut::Backwards, Cut::Threads]);
                }
            }
        }
    }
}
