//! Every random choice of a client, drawn from the seed.

use std::time::Duration;

use fastrand::Rng;
use uuid::Uuid;

use super::Workload;

/// Registers that a client writes at a time.
const REGISTERS: usize = 3;

/// Milliseconds between two steps of a client.
const THINK_TIME: std::ops::Range<u64> = 5..60;

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create a register.
    Create,
    /// Write the next version of a register that it owns.
    Update,
    /// Read a register that it owns.
    ReadOwn,
    /// Read a register that any client has created.
    ReadAny,
    /// Read a page of the list.
    List,
    /// Write and read several registers at once.
    Burst,
    /// Move to another region.
    Move,
    /// Send nothing this time.
    Skip,
}

/// Draws a client's steps. One seed always gives the same draws; which registers exist by then
/// depends on the answers.
#[derive(Debug)]
pub struct Generator {
    rng: Rng,
    workload: Workload,
    is_reader: bool,
}

impl Generator {
    /// The generator of a client; a reader never writes.
    #[must_use]
    pub fn new(seed: u64, client: u32, workload: Workload, is_reader: bool) -> Self {
        Self { rng: Rng::with_seed(seed ^ u64::from(client) << 32), workload, is_reader }
    }

    /// The next step of a client that now owns so many registers.
    pub fn step(&mut self, registers: usize) -> Step {
        match self.rng.u16(if self.is_reader { 600..1000 } else { 0..1000 }) {
            0..600 if registers < REGISTERS => Step::Create,
            0..60 if self.workload == Workload::Roaming => Step::Burst,
            0..300 => Step::Update,
            300..600 => Step::ReadOwn,
            600..850 => Step::ReadAny,
            850..995 => Step::List,
            _ if self.workload == Workload::Roaming => Step::Move,
            _ => Step::Skip,
        }
    }

    /// One of the items; `None` where there is none.
    pub fn choose<I>(&mut self, items: I) -> Option<I::Item>
    where
        I: IntoIterator<IntoIter: ExactSizeIterator>,
    {
        self.rng.choice(items)
    }

    /// Whether a read of one register opens its edit form: every fourth does.
    pub fn opens_edit_form(&mut self) -> bool {
        self.rng.u8(..4) == 0
    }

    /// The key of a new create.
    pub fn idempotency_key(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.rng.u128(..).to_ne_bytes()).into_uuid()
    }

    /// The pause before the next step.
    pub fn think_time(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(THINK_TIME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_steps() {
        let steps = |seed| {
            let mut generator = Generator::new(seed, 1, Workload::Roaming, false);
            (0..100).map(|_| generator.step(REGISTERS)).collect::<Vec<_>>()
        };
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }

    #[test]
    fn a_reader_sends_no_writes() {
        let mut generator = Generator::new(1, 5, Workload::Stationary, true);
        for _ in 0..1000 {
            let step = generator.step(0);
            assert!(!matches!(step, Step::Create | Step::Update | Step::ReadOwn | Step::Move));
        }
    }
}
