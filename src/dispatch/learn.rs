//! Learns how far predictions are off. Pure: numbers in, numbers out; no clock, no atomics, nothing of the hardware.
//!
//! A prediction is a sum of terms `Tᵢ` (fixed, work, transfer). What is learnt are factors, as logarithms, so that "twice as slow"
//! and "half as slow" weigh the same and no factor becomes negative:
//!
//! ```text
//! ln t = s + ln Σ Tᵢ · exp θᵢ + noise
//! ```
//!
//! with `θ` per kernel and backend and `s` per backend, for all kernels: the load of the machine. `θ_work` of the two CPU backends has a
//! `c` of the kernel added, as both run the same code on the same lanes. A sample corrects all of them by an extended Kalman filter
//! (Kalman 1960), linear in the logarithms around the estimate, where the derivative by `θᵢ` is the share `hᵢ` of its term:
//!
//! ```text
//! r = ln measured − ln predicted         S = h'Ph + h_work²·V_c + V_s + R
//! θ += P h r / S                         P −= P h h'P / S            and so for c and s, whose covariances with θ are left out
//! ```
//!
//! So a call of 16 elements teaches the fixed cost and one of 16 million the work, and neither spoils the other.
//!
//! A body whose cost could not be counted is off by orders of magnitude, where nothing is linear: its factor is solved for, call by call,
//! until it no longer moves. The model is then asked about a body of that many times the operations.
//!
//! What went wrong elsewhere set the rest (`StarPU`: the first sample is "often quite bogus", one spike of 500× kept a GPU out
//! of work for good; `FFTW`: a plan from one bad measurement is kept): the first sample of a kernel on a backend is dropped; a sample far
//! above the prediction counts only if the next one is too; and what is not tried is forgotten, the correction of a backend returns to
//! none while its variance returns to what it was at first, at a pace at which trying again costs a hundredth of the time at most.
//!
//! A lesson takes some 0.2 µs, a call of few elements hardly more. So where the last calls took what they were predicted to, one lesson is
//! enough for all calls until they have run fifty times as long. A call that surprises teaches at once, and so do the next ones:
//! if only the odd ones taught, what is usual would be forgotten over them.

use super::model::Terms;
use crate::backend::Backend;

#[cfg(test)]
mod tests;

/// Variances of the logarithms at first: how far the model is off for a kernel it has not seen. The fixed and transfer terms are
/// measured by probes that do the same (25 %); a body is not the probes' body (0.4: what the loops of `shaders/` showed), and the pool runs
/// it nearly as one thread does (0.15).
const PRIOR: [[f64; 3]; 3] = [GPU_PRIOR, CPU_PRIOR, CPU_PRIOR];
const GPU_PRIOR: [f64; 3] = [0.25 * 0.25, 0.4 * 0.4, 0.25 * 0.25];
const CPU_PRIOR: [f64; 3] = [0.25 * 0.25, 0.15 * 0.15, 0.25 * 0.25];
const LANES: f64 = 0.4 * 0.4;
/// The load: a busy machine is two times as slow, seldom more.
const LOAD: f64 = 0.3 * 0.3;
/// Of one sample: repeated calls of one size scatter by some 6 %, but calls of other sizes differ from the model's form by more. This
/// and the numbers below did best on simulated machines, with other seeds than those of the tests.
const NOISE: f64 = 0.3 * 0.3;
/// Nanoseconds that the clock and the report around the loop may be off.
const CLOCK_NS: f64 = 60.0;
/// What is added to a variance by each sample: data and machine change slowly under a running program.
const DRIFT: f64 = 0.04 * 0.04;
/// Of a body's code it changes least, of a machine's load most.
const LANES_DRIFT: f64 = 0.01 * 0.01;
const LOAD_DRIFT: f64 = 0.14 * 0.14;
/// Standard deviations above the prediction from which a sample is a suspect.
const SUSPECT: f64 = 3.0;
/// A backend that is not tried is half forgotten once the kernel has run so many times as long elsewhere as a try would take.
const PATIENCE: f64 = 100.0;
/// The load of a backend that nobody uses is half forgotten after so many nanoseconds, or `PATIENCE` tries if these take longer.
const LOAD_NS: f64 = 3e8;
/// A guessed body is believed once a call moves the logarithm of its cost by no more, or took so many nanoseconds.
const BELIEVED: f64 = 0.5;
const SOLVED_NS: f64 = 3e6;
/// A first call counts if it took so many nanoseconds: what it pays for once, fresh memory too, is little of that.
const LONG_NS: f64 = 500e6;
/// Calls in a row as predicted from which on few of them teach, and how far off their times may be for that.
const CALM: u32 = 8;
const AS_PREDICTED: f64 = 0.25;
/// Nanoseconds that such calls run from one lesson to the next, which takes some 200: 2 %.
const LESSON_NS: f64 = 1e4;
/// No correction is larger than a factor of a million: beyond, the clock is broken and not the model.
const LIMIT: f64 = 14.0;

/// A prediction with what is known of its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub ns: f64,
    /// Of its logarithm.
    pub variance: f64,
    /// Measured calls of this kernel on this backend that it rests on.
    pub samples: u32,
}

/// A logarithm that is being learnt, and its exponential, so that no decision has to compute it.
#[derive(Clone, Copy, Debug)]
struct Log {
    mean: f64,
    variance: f64,
    factor: f64,
}

impl Log {
    const fn new(variance: f64) -> Self {
        Self { mean: 0.0, variance, factor: 1.0 }
    }

    /// The filter for a number that stands alone, of which `share` counts in the sample.
    fn step(&mut self, share: f64, step: f64, total: f64, drift: f64, most: f64) {
        let gain = share * self.variance;
        self.mean = (self.mean + gain * step).clamp(-LIMIT, LIMIT);
        self.factor = self.mean.exp();
        self.variance = (self.variance + drift - gain * gain / total).min(most);
    }
}

/// The load of one backend: what slows all kernels on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    log: Log,
    /// When it was last seen.
    at: f64,
    /// The last sample was far above its prediction.
    suspect: bool,
}

impl Load {
    pub(crate) const NEW: Self = Self { log: Log::new(LOAD), at: 0.0, suspect: false };

    /// Of its logarithm, when all but `keep` is forgotten.
    fn variance(&self, keep: f64) -> f64 {
        LOAD + (self.log.variance - LOAD) * keep * keep
    }

    fn forget(&mut self, parts: &Parts, now: f64) {
        if parts.keep_load < 1.0 {
            let variance = self.variance(parts.keep_load);
            self.log = Log { mean: parts.load.ln(), variance, factor: parts.load };
        }
        self.at = now;
    }
}

/// One kernel's corrections on one backend.
#[derive(Clone, Copy, Debug)]
struct Corrections {
    mean: [f64; 3],
    factor: [f64; 3],
    covariance: [[f64; 3]; 3],
    /// Calls, the dropped one among them.
    calls: u32,
    /// What the kernel had spent, everywhere, when it was last tried here.
    tried: f64,
    suspect: bool,
    /// Calls in a row that took what they were predicted to.
    calm: u32,
    /// Nanoseconds of calls here since the last one that taught.
    untaught: f64,
}

const fn diagonal(of: [f64; 3]) -> [[f64; 3]; 3] {
    [[of[0], 0.0, 0.0], [0.0, of[1], 0.0], [0.0, 0.0, of[2]]]
}

impl Corrections {
    const fn new(backend: usize) -> Self {
        Self {
            mean: [0.0; 3],
            factor: [1.0; 3],
            covariance: diagonal(PRIOR[backend]),
            calls: 0,
            tried: 0.0,
            suspect: false,
            calm: 0,
            untaught: 0.0,
        }
    }

    /// Returns to what it was at first, by all but `keep`.
    fn forget(&mut self, prior: &[f64; 3], keep: f64) {
        if keep >= 1.0 {
            return;
        }
        for i in 0..3 {
            self.factor[i] = faded(self.factor[i], keep);
            self.mean[i] = self.factor[i].ln();
            for j in 0..3 {
                let prior = if i == j { prior[i] } else { 0.0 };
                self.covariance[i][j] = prior + (self.covariance[i][j] - prior) * keep * keep;
            }
        }
    }
}

/// A factor of which all but `keep` is forgotten. Linear in the factor and not in its logarithm: it takes no exponential.
fn faded(factor: f64, keep: f64) -> f64 {
    1.0 + (factor - 1.0) * keep
}

/// What is known of one kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Learnt {
    /// How many times the operations its body takes that were guessed; 1 where they were counted.
    body: f64,
    believed: bool,
    /// The work of its body on CPU lanes, one thread or all.
    lanes: Log,
    backends: [Corrections; 3],
    /// Nanoseconds it has run, on all backends.
    spent: f64,
}

/// A prediction in parts.
struct Parts {
    terms: [f64; 3],
    sum: f64,
    keep: f64,
    keep_load: f64,
    load: f64,
}

impl Parts {
    fn ns(&self) -> f64 {
        self.sum * self.load
    }

    /// The share of each term.
    fn shares(&self) -> [f64; 3] {
        let by = if self.sum > 0.0 { 1.0 / self.sum } else { 0.0 };
        self.terms.map(|term| term * by)
    }
}

impl Learnt {
    /// Of a kernel whose body's cost was counted, or is a guess.
    pub(crate) const fn new(counted: bool) -> Self {
        let backends = [Corrections::new(0), Corrections::new(1), Corrections::new(2)];
        Self { body: 1.0, believed: counted, lanes: Log::new(LANES), backends, spent: 0.0 }
    }

    /// How many times the operations of the body the model is to be asked about.
    pub(crate) fn body(&self) -> f64 {
        self.body
    }

    /// Whether the cost of the body is known by now, where it was a guess.
    pub(crate) fn is_believed(&self) -> bool {
        self.believed
    }

    /// What of `c` counts on a backend.
    fn lanes(&self, backend: usize) -> Log {
        if backend == Backend::Gpu as usize { Log::new(0.0) } else { self.lanes }
    }

    fn parts(&self, backend: usize, terms: &Terms, load: &Load, now: f64) -> Parts {
        let corrections = &self.backends[backend];
        let terms = [terms.fixed, terms.work * self.lanes(backend).factor, terms.transfer];
        let scaled = |i: usize, keep: f64| terms[i] * faded(corrections.factor[i], keep);
        let full = (scaled(0, 1.0) + scaled(1, 1.0) + scaled(2, 1.0)) * load.log.factor;
        let pause = PATIENCE * full;
        // A clock that went back, or a prediction of nothing, forgets nothing.
        let kept = |age: f64, pause: f64| if age > 0.0 && pause > 0.0 { pause / (pause + age) } else { 1.0 };
        let keep = kept(self.spent - corrections.tried, pause);
        let keep_load = kept(now - load.at, pause.max(LOAD_NS));
        let terms = [scaled(0, keep), scaled(1, keep), scaled(2, keep)];
        let sum = terms[0] + terms[1] + terms[2];
        Parts { terms, sum, keep, keep_load, load: faded(load.log.factor, keep_load) }
    }

    /// How long a call takes on a backend.
    pub(crate) fn estimate(&self, backend: usize, terms: &Terms, load: &Load, now: f64) -> Estimate {
        let parts = self.parts(backend, terms, load, now);
        let corrections = &self.backends[backend];
        let shares = parts.shares();
        let kept = parts.keep * parts.keep;
        let known = dot(&products(&corrections.covariance, &shares), &shares);
        let prior = (0..3).map(|i| PRIOR[backend][i] * shares[i] * shares[i]).sum::<f64>();
        let variance = prior
            + (known - prior) * kept
            + shares[1] * shares[1] * self.lanes(backend).variance
            + load.variance(parts.keep_load);
        Estimate { ns: parts.ns(), variance, samples: corrections.calls.saturating_sub(1) }
    }

    /// Whether a call would teach what is known: then it is only counted. `predicted`: in nanoseconds, as it was before the call.
    pub(crate) fn knows(&mut self, backend: usize, predicted: f64, took: f64) -> bool {
        let corrections = &mut self.backends[backend];
        let as_predicted = (took - predicted).abs() <= AS_PREDICTED * predicted + CLOCK_NS;
        if !as_predicted {
            (corrections.calm, corrections.untaught) = (0, 0.0);
            return false;
        }
        corrections.untaught += took;
        if corrections.calm < CALM || corrections.untaught >= LESSON_NS {
            corrections.calm = corrections.calm.saturating_add(1);
            corrections.untaught = 0.0;
            return false;
        }
        self.spent += took;
        corrections.tried = self.spent;
        true
    }

    /// Learns from a call that was predicted as `terms` and took `took` nanoseconds on a backend.
    pub(crate) fn observe(&mut self, backend: usize, terms: &Terms, load: &mut Load, now: f64, took: f64) {
        let parts = self.parts(backend, terms, load, now);
        if !(took > 0.0 && took.is_finite() && parts.ns() > 0.0 && parts.ns().is_finite()) {
            return;
        }
        self.spent += took;
        let lanes = self.lanes(backend).variance;
        let corrections = &mut self.backends[backend];
        corrections.tried = self.spent;
        corrections.calls = corrections.calls.saturating_add(1);
        if corrections.calls == 1 && took < if self.believed { LONG_NS } else { SOLVED_NS } {
            return;
        }
        if !self.believed {
            self.solve(&parts, took);
            return;
        }
        corrections.forget(&PRIOR[backend], parts.keep);
        load.forget(&parts, now);

        let shares = parts.shares();
        let surprise = (took / parts.ns()).ln().clamp(-LIMIT, LIMIT);
        let noise = NOISE + (CLOCK_NS / took) * (CLOCK_NS / took);
        let mut gains = products(&corrections.covariance, &shares);
        let others = shares[1] * shares[1] * lanes + noise;
        let mut total = dot(&gains, &shares) + load.log.variance + others;
        if surprise * surprise > SUSPECT * SUSPECT * total {
            // Nothing runs ten times as fast by accident, but much runs ten times as slow: once. Twice is a change.
            let twice = corrections.suspect || load.suspect;
            (corrections.suspect, load.suspect) = (true, true);
            if surprise > 0.0 && !twice {
                return;
            }
            // Whatever was known of it is no longer so.
            corrections.covariance = diagonal(PRIOR[backend]);
            load.log.variance = LOAD;
            gains = products(&corrections.covariance, &shares);
            total = dot(&gains, &shares) + LOAD + others;
        } else {
            (corrections.suspect, load.suspect) = (false, false);
        }

        let step = surprise / total;
        for i in 0..3 {
            corrections.mean[i] = (corrections.mean[i] + gains[i] * step).clamp(-LIMIT, LIMIT);
            corrections.factor[i] = corrections.mean[i].exp();
            for j in 0..3 {
                corrections.covariance[i][j] -= gains[i] * gains[j] / total;
            }
            corrections.covariance[i][i] = (corrections.covariance[i][i] + DRIFT).min(PRIOR[backend][i]);
        }
        if lanes > 0.0 {
            self.lanes.step(shares[1], step, total, LANES_DRIFT, LANES);
        }
        load.log.step(1.0, step, total, LOAD_DRIFT, LOAD);
    }

    /// Takes what a call shows of a guessed body, if the body was most of it.
    fn solve(&mut self, parts: &Parts, took: f64) {
        let [fixed, work, transfer] = parts.terms;
        let shown = took / parts.load - fixed - transfer;
        if work > 0.0 && shown > 0.5 * took {
            let factor = shown / work;
            self.believed = factor.ln().abs() < BELIEVED || took >= SOLVED_NS;
            self.body = (self.body * factor).clamp((-LIMIT).exp(), LIMIT.exp());
        }
    }
}

fn products(matrix: &[[f64; 3]; 3], by: &[f64; 3]) -> [f64; 3] {
    [dot(&matrix[0], by), dot(&matrix[1], by), dot(&matrix[2], by)]
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
