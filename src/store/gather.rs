//! What many ask for at once becomes one statement.
//!
//! A statement to a server costs several times what it reads: the way there and back, and
//! the turns of two processes. Whoever asks while another waits for an answer waits along,
//! and the next statement asks for all of them. Who asks alone waits for nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Error, Result};

/// Keys of one statement at most.
const MOST: usize = 128;
/// Statements at a time at most.
const AT_A_TIME: usize = 4;
/// What is at work for longer holds up nobody else.
const LONG: Duration = Duration::from_millis(2);

/// Those who ask for values by their keys.
pub struct Gather<K, V> {
    state: Arc<Mutex<State<K, V>>>,
}

struct State<K, V> {
    waiting: Vec<Waiting<K, V>>,
    /// How many statements are at work, the last of them since then.
    at_work: usize,
    since: Instant,
}

struct Waiting<K, V> {
    key: K,
    turn: oneshot::Sender<Turn<K, V>>,
}

/// What those who wait are told.
enum Turn<K, V> {
    Answer(V),
    Lead(Lead<K, V>),
    /// The database did not answer: it will not do so for each of them either.
    Away,
}

/// Whoever holds it asks, for the others too. Given up, it passes on to those who wait, and
/// the others ask for themselves.
struct Lead<K, V> {
    state: Option<Arc<Mutex<State<K, V>>>>,
    others: Vec<Waiting<K, V>>,
}

impl<K: Copy, V> Gather<K, V> {
    /// Nobody yet.
    pub fn new() -> Gather<K, V> {
        let state = State {
            waiting: Vec::new(),
            at_work: 0,
            since: Instant::now(),
        };
        Gather {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The value of a key, by what `work` finds for several keys, in their order.
    ///
    /// # Errors
    /// Those of `work` for this key.
    pub async fn ask<F>(&self, key: K, work: impl Fn(Vec<K>) -> F) -> Result<V>
    where
        F: Future<Output = Result<Vec<V>>>,
    {
        let turn = match self.turn(key) {
            Ok(lead) => Some(Turn::Lead(lead)),
            Err(told) => told.await.ok(),
        };
        let found = match turn {
            Some(Turn::Answer(value)) => Some(value),
            Some(Turn::Lead(lead)) => lead.ask(key, &work).await?,
            Some(Turn::Away) => {
                return Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into());
            }
            // Whoever led was given up, or found nothing.
            None => None,
        };
        if let Some(value) = found {
            return Ok(value);
        }
        let value = work(vec![key]).await?.pop();
        value.ok_or(sqlx::Error::RowNotFound.into())
    }

    /// The lead, where it is free; or the place in the queue.
    fn turn(&self, key: K) -> std::result::Result<Lead<K, V>, oneshot::Receiver<Turn<K, V>>> {
        let mut state = lock(&self.state);
        let is_free = match state.at_work {
            0 => true,
            AT_A_TIME.. => false,
            _ => state.since.elapsed() > LONG,
        };
        if is_free {
            state.at_work += 1;
            let others = state.next();
            return Ok(Lead {
                state: Some(self.state.clone()),
                others,
            });
        }
        let (turn, told) = oneshot::channel();
        state.waiting.push(Waiting { key, turn });
        Err(told)
    }
}

fn lock<K, V>(state: &Mutex<State<K, V>>) -> MutexGuard<'_, State<K, V>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V> State<K, V> {
    /// Those who wait, as many as one statement may ask for.
    fn next(&mut self) -> Vec<Waiting<K, V>> {
        self.since = Instant::now();
        let many = self.waiting.len().min(MOST - 1);
        self.waiting.drain(..many).collect()
    }
}

impl<K: Copy, V> Lead<K, V> {
    /// Asks for all; nothing where that failed for several.
    async fn ask<F>(mut self, key: K, work: impl Fn(Vec<K>) -> F) -> Result<Option<V>>
    where
        F: Future<Output = Result<Vec<V>>>,
    {
        let others = self.others.iter().map(|other| other.key);
        let found = work(std::iter::once(key).chain(others).collect()).await;
        if found.as_ref().is_err_and(Error::is_away) {
            for other in self.others.drain(..) {
                let _ = other.turn.send(Turn::Away);
            }
        } else if found.is_err() && !self.others.is_empty() {
            // It may be the fault of any of them.
            return Ok(None);
        }
        let mut values = found?.into_iter();
        let own = values.next();
        for (other, value) in self.others.drain(..).zip(values) {
            // Whoever is gone by now needs no answer.
            let _ = other.turn.send(Turn::Answer(value));
        }
        Ok(own)
    }
}

impl<K, V> Drop for Lead<K, V> {
    fn drop(&mut self) {
        let Some(of) = self.state.take() else { return };
        let mut state = lock(&of);
        loop {
            let mut others = state.next();
            if others.is_empty() {
                state.at_work -= 1;
                return;
            }
            let first = others.remove(0);
            let lead = Lead {
                state: Some(of.clone()),
                others,
            };
            let Err(Turn::Lead(mut lead)) = first.turn.send(Turn::Lead(lead)) else {
                return;
            };
            // Gone by now: the others are still to be asked for.
            lead.state = None;
            let others = std::mem::take(&mut lead.others);
            state.waiting.splice(..0, others);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::store::Error;

    type Numbers = Gather<u32, u32>;

    /// Waits until it may, counts that it was asked, and doubles.
    async fn doubled(keys: Vec<u32>, may: &Semaphore, asked: &AtomicUsize) -> Result<Vec<u32>> {
        asked.fetch_add(1, Ordering::Relaxed);
        may.acquire().await.unwrap().forget();
        Ok(keys.iter().map(|key| key * 2).collect())
    }

    #[tokio::test]
    async fn who_asks_while_another_waits_is_asked_for_with_others() {
        let (gather, may, asked) = (Numbers::new(), Semaphore::new(0), AtomicUsize::new(0));
        let all = (0..300).map(|n| gather.ask(n, |keys| doubled(keys, &may, &asked)));
        let all = async {
            let answers = join_all(all).await;
            answers.into_iter().map(Result::unwrap).collect::<Vec<_>>()
        };
        let mut all = Box::pin(all);
        assert!(all.as_mut().now_or_never().is_none());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        may.add_permits(100);
        assert_eq!(all.await, (0..300).map(|n| n * 2).collect::<Vec<_>>());
        // One alone, then two of as many as one may ask for, and the rest.
        assert_eq!(asked.load(Ordering::Relaxed), 4);
        assert_eq!(lock(&gather.state).at_work, 0);
    }

    #[tokio::test]
    async fn who_is_given_up_holds_up_nobody() {
        let (gather, may, asked) = (Numbers::new(), Semaphore::new(0), AtomicUsize::new(0));
        let ask = |n| Box::pin(gather.ask(n, |keys| doubled(keys, &may, &asked)));
        let mut first = ask(1);
        assert!(first.as_mut().now_or_never().is_none());
        let mut others: Vec<_> = (2..8).map(ask).collect();
        for other in &mut others {
            assert!(other.as_mut().now_or_never().is_none());
        }
        // One that waits, the one that leads, and the one that is to lead then.
        drop(others.remove(3));
        drop(first);
        drop(others.remove(0));
        may.add_permits(100);
        let answers: Vec<u32> = join_all(others)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(answers, [6, 8, 12, 14]);
        assert_eq!(lock(&gather.state).at_work, 0);
        assert_eq!(ask(9).await.unwrap(), 18);
        drop(ask(10));
        assert_eq!(lock(&gather.state).at_work, 0);
    }

    #[tokio::test]
    async fn what_is_long_at_work_holds_up_nobody() {
        let (gather, never, asked) = (Numbers::new(), Semaphore::new(0), AtomicUsize::new(0));
        let may = Semaphore::new(100);
        let mut long: Vec<_> = (0..AT_A_TIME - 1)
            .map(|_| Box::pin(gather.ask(1, |keys| doubled(keys, &never, &asked))))
            .collect();
        for long in &mut long {
            assert!(long.as_mut().now_or_never().is_none());
            tokio::time::sleep(2 * LONG).await;
        }
        for n in 0..10 {
            let short = gather.ask(n, |keys| doubled(keys, &may, &asked));
            assert_eq!(short.await.unwrap(), n * 2);
            tokio::time::sleep(2 * LONG).await;
        }
        // There are never more than that at a time.
        let mut last = Box::pin(gather.ask(2, |keys| doubled(keys, &never, &asked)));
        assert!(last.as_mut().now_or_never().is_none());
        tokio::time::sleep(2 * LONG).await;
        let before = asked.load(Ordering::Relaxed);
        let mut further = Box::pin(gather.ask(3, |keys| doubled(keys, &may, &asked)));
        assert!(further.as_mut().now_or_never().is_none());
        assert_eq!(asked.load(Ordering::Relaxed), before);
        drop(long.pop());
        assert_eq!(further.await.unwrap(), 6);
    }

    #[tokio::test]
    async fn an_error_of_one_is_that_of_nobody_else() {
        let (gather, may) = (Numbers::new(), Semaphore::new(0));
        let ask = |n| {
            gather.ask(n, async |keys: Vec<u32>| {
                may.acquire().await.unwrap().forget();
                match keys.contains(&3) {
                    true => Err(Error::Damaged("3".into())),
                    false => Ok(keys),
                }
            })
        };
        let mut all = Box::pin(join_all((1..6).map(ask)));
        assert!(all.as_mut().now_or_never().is_none());
        may.add_permits(100);
        let good: Vec<bool> = all.await.into_iter().map(|done| done.is_ok()).collect();
        assert_eq!(good, [true, true, false, true, true]);
    }
}
