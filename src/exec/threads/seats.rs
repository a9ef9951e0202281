//! Which CPUs the threads of one shared loop started on, so that no two start on the same one.
//!
//! A woken thread starts where it last ran, if that or another CPU near it does not look idle. On a virtual machine an idle CPU
//! often does not: Linux as a KVM guest takes a halted one for one that the host has taken away. So a worker that last ran on
//! the caller's CPU starts there, beside the caller, while the other CPU sleeps; and since both then end there, so it does the
//! next time. Measured on two such CPUs: 100 wakes of 100, for milliseconds each, until the kernel's balancer parts them. A
//! worker that finds itself there steps aside: it gives up the CPU for a moment and gets it back in its mask at once, so
//! nobody is bound to anything.

use std::sync::{Mutex, PoisonError};

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// The CPUs taken.
pub(super) struct Seats(Mutex<CpuSet>);

impl Default for Seats {
    fn default() -> Self {
        Self(Mutex::new(CpuSet::new()))
    }
}

impl Seats {
    /// Takes the CPU that the calling thread runs on, whoever has it.
    pub(super) fn claim(&self) {
        set(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), sched_getcpu());
    }

    /// Takes the CPU that the calling thread runs on; if it is taken, moves to one that is not, where there is one.
    pub(super) fn settle(&self) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cpu = sched_getcpu();
        let cpu = if has(&taken, cpu) { step_aside(&taken).unwrap_or(cpu) } else { cpu };
        set(&mut taken, cpu);
    }
}

/// Moves the calling thread to a CPU it may use that is not in `taken`, and says which. What the kernel refuses leaves the thread
/// where it is.
fn step_aside(taken: &CpuSet) -> Option<usize> {
    let allowed = sched_getaffinity(None).ok()?;
    let mut free = allowed;
    for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| taken.is_set(*cpu)) {
        free.unset(cpu);
    }
    if free.count() == 0 {
        return None;
    }
    sched_setaffinity(None, &free).ok()?;
    let cpu = sched_getcpu();
    // The mask was the thread's own a moment ago: nothing is left to do where that fails.
    _ = sched_setaffinity(None, &allowed);
    Some(cpu)
}

/// A set has room for 1024 CPUs; what is beyond is nobody's.
fn has(cpus: &CpuSet, cpu: usize) -> bool {
    cpu < CpuSet::MAX_CPU && cpus.is_set(cpu)
}

fn set(cpus: &mut CpuSet, cpu: usize) {
    if cpu < CpuSet::MAX_CPU {
        cpus.set(cpu);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_moves_to_a_free_cpu_and_keeps_its_mask() {
        let allowed = sched_getaffinity(None).unwrap();
        for _ in 0..20 {
            // Bound to one CPU, which is taken: there is nowhere to go.
            let mut one = CpuSet::new();
            one.set(sched_getcpu());
            sched_setaffinity(None, &one).unwrap();
            let seats = Seats::default();
            seats.claim();
            seats.settle();
            assert_eq!(sched_getaffinity(None).unwrap(), one);
            assert!(one.is_set(sched_getcpu()));

            sched_setaffinity(None, &allowed).unwrap();
            let seats = Seats(Mutex::new(one));
            seats.settle();
            assert_eq!(sched_getaffinity(None).unwrap(), allowed);
            let taken = seats.0.into_inner().unwrap().count();
            assert_eq!(taken, allowed.count().min(2), "two seats, where there are two CPUs");
        }
    }
}
