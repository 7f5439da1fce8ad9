//! Timing: warm up, find how many iterations make a sample long enough, take the samples.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long a body runs before anything is recorded.
const WARM_UP: Duration = Duration::from_millis(100);
/// No sample repeats its body more often than this.
const MAX_INNER: u64 = 1 << 24;

/// What was asked for on the command line.
pub struct Sampler {
    /// Samples to take.
    pub samples: usize,
    /// The least a sample lasts, unless one iteration lasts longer.
    pub minimum: Duration,
}

/// Seconds per iteration, one value per sample.
pub struct Measurement {
    /// Iterations in each sample.
    pub inner: u64,
    /// Seconds per iteration, in the order taken.
    pub seconds: Vec<f64>,
    /// How often the body ran altogether, warm-up included.
    pub runs: u64,
    /// What shows that the work was done, where a workload has such a number; the same for every
    /// contender.
    pub checksum: Option<u64>,
}

impl Measurement {
    /// The same with a checksum.
    pub fn with_checksum(self, checksum: u64) -> Self {
        Self {
            checksum: Some(checksum),
            ..self
        }
    }
}

impl Sampler {
    /// Times a body that can be repeated as it is.
    pub fn time(&self, mut body: impl FnMut()) -> Measurement {
        self.collect(|inner| {
            let start = Instant::now();
            for _ in 0..inner {
                body();
            }
            start.elapsed()
        })
    }

    /// Times a body that needs a fresh subject each time; making and dropping the subject is not
    /// counted, nor is dropping what the body returns.
    pub fn time_with_setup<Subject, Output>(
        &self,
        mut setup: impl FnMut() -> Subject,
        mut body: impl FnMut(&mut Subject) -> Output,
    ) -> Measurement {
        self.collect(|inner| {
            let mut total = Duration::ZERO;
            for _ in 0..inner {
                let mut subject = setup();
                let start = Instant::now();
                let output = black_box(body(&mut subject));
                total += start.elapsed();
                drop(output);
            }
            total
        })
    }

    fn collect(&self, mut once: impl FnMut(u64) -> Duration) -> Measurement {
        let mut runs = 0;
        let mut run = |inner| {
            runs += inner;
            once(inner)
        };
        let inner = self.calibrate(&mut run);
        let seconds = (0..self.samples)
            .map(|_| run(inner).as_secs_f64() / inner as f64)
            .collect();
        Measurement {
            inner,
            seconds,
            runs,
            checksum: None,
        }
    }

    /// Doubles the iterations until a sample is long enough and the warm-up is over.
    fn calibrate(&self, run: &mut impl FnMut(u64) -> Duration) -> u64 {
        let start = Instant::now();
        // The first run pays for what later ones find ready: caches, pages, a schedule built on
        // first use.
        run(1);
        let mut inner = 1;
        while inner < MAX_INNER && run(inner) < self.minimum {
            inner *= 2;
        }
        while start.elapsed() < WARM_UP {
            run(inner);
        }
        inner
    }
}
