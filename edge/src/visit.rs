//! A request's way among the instances: to the first, from there to another if it says `fly-replay`, and back if nobody is there.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Limited};
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::time::timeout;

use crate::delivery::{Delivery, Patience};
use crate::fields;
use crate::headers::{FLY_REPLAY, FLY_REPLAY_FAILED, FLY_REPLAY_SRC};
use crate::journal::Trace;
use crate::refusal::{Reason, Refusal};
use crate::replay::{Fallback, Replay, ReplayError};

/// The form of a replay that this edge does not read.
const JSON: &str = "application/vnd.fly.replay+json";

/// What is read of the answer that says `fly-replay`, so that its connection can be used again: bytes, and for how long.
const REMAINDER: (usize, Duration) = (64 * 1024, Duration::from_secs(1));

/// Takes the request to the first of these regions, and wherever the answer says then.
///
/// # Errors
/// What the visitor gets instead of an instance's answer.
pub(crate) async fn visit(
    mut delivery: Delivery<'_>,
    regions: &[&str],
    patience: Patience,
    trace: &mut Trace,
) -> Result<Response<Incoming>, Refusal> {
    let (source, answer) = delivery.to_first_of(regions, patience).await?;
    trace.instance = Some(source.clone());
    let wrong = |why: &dyn ToString| Refusal::bad_replay(&source, why);
    let Some(replay) = wanted(&answer).map_err(|why| wrong(&why))? else { return Ok(answer) };
    tokio::spawn(read_to_the_end(answer));

    let targets =
        delivery.map.targets(delivery.place, &source, &replay).map_err(|why| wrong(&why))?;
    let began = Instant::now();
    tell(&mut delivery, FLY_REPLAY_SRC, &source_of(&source, &replay)).map_err(|why| wrong(&why))?;
    let refusal =
        match delivery.to_first_of(&targets, in_replay(&replay, patience, &delivery)).await {
            Ok((region, answer)) => {
                trace.replayed = Some(region.clone());
                return last(region, answer);
            }
            Err(refusal) => refusal,
        };
    let (Some(fallback), Some(reason)) = (replay.fallback, undone(&refusal, &delivery)) else {
        return Err(refusal);
    };
    trace.failed = Some(reason.name());
    let target =
        targets.first().copied().or(replay.regions.first().map(String::as_str)).unwrap_or_default();
    let failed = failure_of(&source, target, replay.app.as_deref(), reason, began.elapsed());
    tell(&mut delivery, FLY_REPLAY_FAILED, &failed).map_err(|why| wrong(&why))?;
    delivery.parts.headers.remove(FLY_REPLAY_SRC);
    let mut regions = vec![source.as_str()];
    if fallback == Fallback::PreferSelf {
        regions.extend(
            delivery.map.nearest(delivery.place).into_iter().filter(|region| *region != source),
        );
    }
    let (region, answer) = delivery.to_first_of(&regions, patience).await?;
    trace.instance = Some(region.clone());
    last(region, answer)
}

/// The replay that an answer asks for, if it does.
fn wanted(answer: &Response<Incoming>) -> Result<Option<Replay>, ReplayError> {
    let mut asked = answer.headers().get_all(FLY_REPLAY).iter();
    match (asked.next(), asked.next()) {
        (None, _) if answer.headers().get(CONTENT_TYPE).is_some_and(|form| form == JSON) => {
            Err(ReplayError::Json)
        }
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(ReplayError::Several),
        (Some(asked), None) => asked.to_str().map_err(|_| ReplayError::NoText)?.parse().map(Some),
    }
}

/// Lets an answer through that may not be a replay any more.
fn last(region: String, answer: Response<Incoming>) -> Result<Response<Incoming>, Refusal> {
    if answer.headers().contains_key(FLY_REPLAY) {
        Err(Refusal::Twice { region })
    } else {
        Ok(answer)
    }
}

/// A `timeout` bounds the whole answer where the request may be made twice. Where it may not, nobody can take it back once it is
/// sent, and the timeout bounds the connecting only; Fly cancels no request that is sent.
fn in_replay(replay: &Replay, patience: Patience, delivery: &Delivery<'_>) -> Patience {
    let Some(timeout) = replay.timeout else { return patience };
    let may_be_repeated = delivery.parts.method.is_idempotent();
    Patience { reach: timeout, answer: if may_be_repeated { timeout } else { patience.answer } }
}

/// Why the request may go back to where it came from: nothing has been done, or it may be done twice.
fn undone(refusal: &Refusal, delivery: &Delivery<'_>) -> Option<Reason> {
    let may_be_repeated = delivery.parts.method.is_idempotent();
    match refusal {
        Refusal::Nobody { reason, .. } => Some(*reason),
        Refusal::Lost { .. } if may_be_repeated => Some(Reason::RetriesExhausted),
        Refusal::Late { .. } if may_be_repeated => Some(Reason::Timeout),
        _ => None,
    }
}

fn source_of(source: &str, replay: &Replay) -> String {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros().to_string();
    let mut written = vec![("instance", source), ("region", source), ("t", now.as_str())];
    written.extend(replay.state.as_deref().map(|state| ("state", state)));
    fields::write(&written)
}

fn failure_of(
    source: &str,
    target: &str,
    app: Option<&str>,
    reason: Reason,
    elapsed: Duration,
) -> String {
    let elapsed = elapsed.as_millis().to_string();
    let mut written = vec![("instance", target)];
    written.extend(app.map(|app| ("app", app)));
    written.extend([
        ("region", target),
        ("replay_source", source),
        ("reason", reason.name()),
        ("elapsed_ms", &elapsed),
    ]);
    fields::write(&written)
}

fn tell(delivery: &mut Delivery<'_>, name: &'static str, value: &str) -> Result<(), ReplayError> {
    let value = HeaderValue::from_str(value).map_err(|_| ReplayError::NoText)?;
    delivery.parts.headers.insert(name, value);
    Ok(())
}

async fn read_to_the_end(answer: Response<Incoming>) {
    let (most, longest) = REMAINDER;
    // What is longer or slower loses its connection, and nothing else.
    let _ = timeout(longest, Limited::new(answer.into_body(), most).collect()).await;
}
