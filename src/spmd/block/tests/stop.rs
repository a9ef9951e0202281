//! Runs that are stopped, and programs that need too much.

use std::time::{Duration, Instant};

use super::launch::lowered;
use super::*;
use crate::cancel::{Cancel, Stopped, Watch};
use crate::spmd::grid::Grid;
use crate::spmd::ir::LocalDecl;
use crate::spmd::memory::Bound;

/// Runs until stopped; the output, and how long it took.
fn run_until(source: &str, workgroups: u32, watch: &Watch) -> (Result<(), Stopped>, Vec<u32>, Duration) {
    let program = lowered(source);
    let code = Code::compile(&program, CpuLevel::detected());
    let mut out = vec![0; 64];
    let mut data = [BufferData::Write(&mut out)];
    let grid = Grid::whole([workgroups, 1, 1], program.workgroup_size).unwrap();
    let start = Instant::now();
    let result = code.run_pieces(&Bound::new(&mut data), &grid, 0..code.pieces(&grid), watch);
    (result, out, start.elapsed())
}

fn shader(body: &str) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<atomic<u32>>;
         var<workgroup> w: u32;
         @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {{
             workgroupBarrier(); {body}
         }}"
    )
}

/// Loops of every kind that never end, the last of them nested, diverging, spinning, or many launches of short ones.
const ENDLESS: [&str; 5] = [
    "atomicStore(&out[i], 1u); loop { w += 1u; if w == 0u { break; } w |= 1u; } atomicStore(&out[i], 2u);",
    "atomicStore(&out[i], 1u); loop { if i == 64u { break; } } atomicStore(&out[i], 2u);",
    "atomicStore(&out[i], 1u); if i == 3u { loop { if atomicLoad(&out[5]) == 9u { break; } } } else { atomicStore(&out[i], 1u); }
     for (var j = 0u; j < 9u; j++) { w += j; } if i == 3u { atomicStore(&out[i], 2u); }",
    "atomicStore(&out[i], 1u); for (var j = 0u; j < 4000000000u; j++) { for (var k = i; k < 4000000000u; k++) { w += k * j; } w |= j; }
     if w != 0u { atomicStore(&out[i], 2u); }",
    "atomicStore(&out[i], 1u); while true { switch i { case 0u: { continue; } default: { w += i; } } }",
];

#[test]
fn endless_loops_end_at_the_deadline() {
    for body in ENDLESS {
        let watch = Watch { cancel: None, deadline: Some(Instant::now() + Duration::from_millis(20)) };
        let (result, out, took) = run_until(&shader(body), 1000, &watch);
        assert_eq!(result, Err(Stopped::Late), "{body}");
        assert_eq!(out, [1; 64], "{body}");
        // A second, for machines with other things to do; the run looks every few microseconds.
        assert!(took < Duration::from_secs(1), "{body}: {took:?}");
    }
}

#[test]
fn endless_loops_are_cancelled() {
    for body in ENDLESS {
        let cancel = Cancel::new();
        let watch = Watch { cancel: Some(cancel.clone()), deadline: None };
        std::thread::scope(|scope| {
            let run = scope.spawn(|| run_until(&shader(body), 1000, &watch));
            std::thread::sleep(Duration::from_millis(5));
            cancel.cancel();
            let (result, ..) = run.join().unwrap();
            assert_eq!(result, Err(Stopped::Cancelled), "{body}");
        });
    }
}

/// Short workgroups without loops, more than anybody waits for.
#[test]
fn many_pieces_end() {
    let watch = Watch { cancel: None, deadline: Some(Instant::now() + Duration::from_millis(20)) };
    let (result, _, took) = run_until(&shader("atomicAdd(&out[i], 1u);"), u32::MAX / 64, &watch);
    assert_eq!(result, Err(Stopped::Late));
    assert!(took < Duration::from_secs(1), "{took:?}");
    let cancel = Cancel::new();
    cancel.cancel();
    let watch = Watch { cancel: Some(cancel), deadline: None };
    let (result, out, _) = run_until(&shader("atomicAdd(&out[i], 1u);"), 1, &watch);
    assert_eq!((result, out), (Err(Stopped::Cancelled), vec![0; 64]));
}

/// A run after one that was stopped starts anew.
#[test]
fn a_stopped_run_leaves_nothing_behind() {
    let late = Watch { cancel: None, deadline: Some(Instant::now()) };
    let body = "for (var j = 0u; j < 10u; j++) { if j > i { break; } atomicAdd(&out[i], 1u); }";
    assert_eq!(run_until(&shader(body), 1, &late).0, Err(Stopped::Late));
    let soon = Watch { cancel: None, deadline: Some(Instant::now() + Duration::from_millis(5)) };
    assert_eq!(run_until(&shader(ENDLESS[2]), 1, &soon).0, Err(Stopped::Late));
    let (result, out, _) = run_until(&shader(body), 1, &Watch::NEVER);
    let expected: Vec<u32> = (0..64).map(|i| 10.min(i + 1)).collect();
    assert_eq!((result, out), (Ok(()), expected));
}

#[test]
fn a_program_says_what_it_needs() {
    let mut p = program(&["Out"]);
    (p.workgroup_size, p.order) = ([1024, 1, 1], Order::Workgroups);
    p.locals = vec![LocalDecl { name: "large".into(), words: 1 << 13 }];
    let bytes = Code::compile(&p, CpuLevel::detected()).bytes();
    assert!((32 << 20..Code::MAX_BYTES).contains(&bytes), "{bytes}");
    p.locals[0].words = u32::MAX;
    assert!(Code::compile(&p, CpuLevel::detected()).bytes() > 1 << 43);
    p.locals.clear();
    p.shared = vec![LocalDecl { name: "shared".into(), words: 1 << 24 }];
    assert!(Code::compile(&p, CpuLevel::detected()).bytes() > Code::MAX_BYTES - 1);
}
