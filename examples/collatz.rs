//! Steps of the Collatz map until 1: integers, and neighbours that take very different times.

use forall::{Dispatcher, Index, Kernel, Result};

/// The loop as WGSL: every backend.
pub fn wgsl() -> Result<Kernel> {
    Kernel::map(include_str!("../shaders/collatz.wgsl"))
}

/// The loop as a closure over plain numbers: the CPU.
pub fn scalar() -> Kernel {
    Kernel::scalar("collatz", plain)
}

/// One element of the plain loop: what the others must agree with. `u32::MAX` for 0, and where 3n + 1 leaves `u32`.
pub fn plain(start: u32) -> u32 {
    if start == 0 {
        return u32::MAX;
    }
    let (mut n, mut steps) = (start, 0);
    while n != 1 {
        n = if n % 2 == 0 {
            n / 2
        } else {
            let Some(next) = n.checked_mul(3).and_then(|n| n.checked_add(1)) else { return u32::MAX };
            next
        };
        steps += 1;
    }
    steps
}

fn main() -> Result<()> {
    // 159 487 is the first start whose way leaves u32.
    let n = 200_000;
    let expected: Vec<u32> = (0..n).map(plain).collect();

    let forall = Dispatcher::new();
    for kernel in [wgsl()?, scalar()] {
        let mut steps = vec![u32::MAX - 1; n as usize];
        let report = forall.run(&kernel, Index, &mut steps)?;
        println!("{report}");
        assert_eq!(steps, expected);
        let (start, most) = (0..)
            .zip(&steps)
            .filter(|(_, steps)| **steps != u32::MAX)
            .max_by_key(|(_, steps)| **steps)
            .unwrap_or((0, &0));
        println!("  {start} takes {most} steps, the most below {n}");
    }
    Ok(())
}
