//! Which caller is the next to check out a connection.
//!
//! bb8 lets a caller who comes now go before those who wait, and knows no runtimes: a connection that
//! changes to another one wakes its thread, and a worker that has to wake another one for each write
//! spends a fifth more on it.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// How many turns in a row may go to callers on the runtime that gave them back, before the one who
/// has waited for longest gets one.
const IN_A_ROW: u32 = 8;

/// As many turns as there may be connections.
pub(super) struct Turns(Mutex<Queue>);

struct Queue {
    free: u32,
    /// How many have a turn and wait in bb8, as there are fewer connections than turns.
    in_bb8: u32,
    /// Turns that came back meanwhile: bb8 gives their connections to those who wait there.
    held: u32,
    /// In the order in which they came.
    waiting: VecDeque<Waiting>,
    /// How many have waited.
    numbers: u64,
    in_a_row: u32,
}

struct Waiting {
    number: u64,
    runtime: Option<runtime::Id>,
    sender: oneshot::Sender<Turn>,
}

/// The right to a connection. The next caller gets it when this is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    is_in_bb8: bool,
}

impl Turns {
    pub(super) fn new(count: u32) -> Arc<Self> {
        let waiting = VecDeque::new();
        let queue = Queue { free: count, in_bb8: 0, held: 0, waiting, numbers: 0, in_a_row: 0 };
        Arc::new(Self(Mutex::new(queue)))
    }

    /// How many callers wait.
    pub(super) fn waiting(&self) -> u32 {
        let queue = self.0.lock();
        queue.in_bb8 + u32::try_from(queue.waiting.len()).unwrap_or(u32::MAX)
    }

    /// Waits without a limit.
    pub(super) async fn take(self: &Arc<Self>) -> Turn {
        let (number, mut turn) = {
            let mut queue = self.0.lock();
            if queue.free > 0 {
                queue.free -= 1;
                return self.turn();
            }
            queue.enter(current_runtime())
        };
        let _place = Place { turns: self, number };
        match (&mut turn).await {
            Ok(turn) => turn,
            // No sender is dropped before it has sent.
            Err(_) => std::future::pending().await,
        }
    }

    fn turn(self: &Arc<Self>) -> Turn {
        Turn { turns: self.clone(), is_in_bb8: false }
    }

    /// Hands a turn on, for a connection that this runtime has given back.
    fn hand_on(self: &Arc<Self>) {
        let next = {
            let mut queue = self.0.lock();
            let next = queue.next(current_runtime());
            queue.free += u32::from(next.is_none());
            next
        };
        if let Some(next) = next {
            // Where the caller has left meanwhile, it is dropped, and the next one gets it.
            drop(next.send(self.turn()));
        }
    }
}

impl Queue {
    fn enter(&mut self, runtime: Option<runtime::Id>) -> (u64, oneshot::Receiver<Turn>) {
        let (sender, turn) = oneshot::channel();
        self.numbers += 1;
        self.waiting.push_back(Waiting { number: self.numbers, runtime, sender });
        (self.numbers, turn)
    }

    /// The next caller, for a turn that comes back on this runtime.
    fn next(&mut self, runtime: Option<runtime::Id>) -> Option<oneshot::Sender<Turn>> {
        let is_here = |waiting: &Waiting| waiting.runtime == runtime;
        let here = self.waiting.iter().position(is_here).filter(|_| self.in_a_row < IN_A_ROW);
        let index = here.unwrap_or(0);
        self.in_a_row = if index == 0 { 0 } else { self.in_a_row + 1 };
        self.waiting.remove(index).map(|waiting| waiting.sender)
    }
}

/// The place of a caller in the queue. One who leaves gives it up.
struct Place<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waiting = &mut self.turns.0.lock().waiting;
        if let Ok(index) = waiting.binary_search_by_key(&self.number, |waiting| waiting.number) {
            waiting.remove(index);
        }
    }
}

impl Turn {
    /// The caller waits in bb8: those behind get no turn for a connection that comes back.
    pub(super) fn enter_bb8(&mut self) {
        self.is_in_bb8 = true;
        self.turns.0.lock().in_bb8 += 1;
    }

    /// The caller waits no longer.
    pub(super) fn leave_bb8(&mut self) {
        if !std::mem::take(&mut self.is_in_bb8) {
            return;
        }
        let is_held = {
            let mut queue = self.turns.0.lock();
            queue.in_bb8 -= 1;
            let is_held = queue.held > 0;
            queue.held -= u32::from(is_held);
            is_held
        };
        if is_held {
            self.turns.hand_on();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave_bb8();
        {
            let mut queue = self.turns.0.lock();
            if queue.held < queue.in_bb8 {
                queue.held += 1;
                return;
            }
        }
        self.turns.hand_on();
    }
}

fn current_runtime() -> Option<runtime::Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt;

    use super::*;

    type Taking = Pin<Box<dyn Future<Output = Turn> + Send>>;

    fn waiting(turns: &Arc<Turns>) -> Taking {
        let turns = turns.clone();
        let mut waiting: Taking = Box::pin(async move { turns.take().await });
        assert!(waiting.as_mut().now_or_never().is_none());
        waiting
    }

    fn on_another_runtime<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        let run = || {
            let runtime = runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async { work() })
        };
        std::thread::scope(|scope| scope.spawn(run).join().unwrap())
    }

    #[tokio::test]
    async fn turns_go_to_those_who_wait_in_their_order() {
        let turns = Turns::new(1);
        let first = turns.take().await;
        let (mut second, mut third) = (waiting(&turns), waiting(&turns));
        drop(first);
        let late = waiting(&turns);
        assert!(third.as_mut().now_or_never().is_none());
        let second = second.as_mut().now_or_never().unwrap();
        drop((second, late));
        assert!(third.now_or_never().is_some());
        assert_eq!(turns.0.lock().free, 1);
    }

    #[tokio::test]
    async fn a_caller_in_bb8_goes_before_those_who_wait_for_a_turn() {
        let turns = Turns::new(2);
        let (first, mut second) = (turns.take().await, turns.take().await);
        second.enter_bb8();
        let mut third = waiting(&turns);
        drop(first);
        assert!(third.as_mut().now_or_never().is_none());
        second.leave_bb8();
        drop((third.now_or_never().unwrap(), second));
        assert_eq!(turns.0.lock().free, 2);
    }

    #[tokio::test]
    async fn a_caller_who_leaves_passes_the_turn_on() {
        let turns = Turns::new(1);
        let first = turns.take().await;
        let (second, third) = (waiting(&turns), waiting(&turns));
        drop(first);
        drop(second);
        let third = third.now_or_never().unwrap();
        drop(waiting(&turns));
        assert!(turns.0.lock().waiting.is_empty());
        drop(third);
        assert_eq!(turns.0.lock().free, 1);
    }

    #[tokio::test]
    async fn a_caller_of_the_same_runtime_comes_first_for_some_turns() {
        let turns = Turns::new(1);
        let mut turn = turns.take().await;
        let mut far = on_another_runtime(|| waiting(&turns));
        let mut near: VecDeque<_> = (0..=IN_A_ROW).map(|_| waiting(&turns)).collect();
        for _ in 0..IN_A_ROW {
            drop(turn);
            turn = near.pop_front().unwrap().now_or_never().unwrap();
        }
        assert!(far.as_mut().now_or_never().is_none());
        drop(turn);
        let turn = far.now_or_never().unwrap();
        on_another_runtime(|| drop(turn));
        assert!(near.pop_front().unwrap().now_or_never().is_some());
    }
}
