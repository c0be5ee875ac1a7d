//! The planet as the edge knows it: the places, the instances, and which instance is nearest to which place.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::builder::Instance;
use crate::replay::{ANY, Replay};
use crate::stand::Stand;
use archipelago_lab::{LabError, Links};

/// A code that is no place.
#[derive(Debug, thiserror::Error)]
#[error("`{place}` is no place that the edge knows: the places are {known}")]
pub(crate) struct UnknownPlace {
    place: String,
    known: String,
}

/// Why a replay has nowhere to go.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTarget {
    #[error(transparent)]
    Place(#[from] UnknownPlace),
    #[error("`{id}` is no instance: the instances are {known}")]
    Instance { id: String, known: String },
    #[error("the edge does not stand in front of the app `{app}`, but of {}", known.as_deref().unwrap_or("one whose name it was not told"))]
    App { app: String, known: Option<String> },
}

/// The places, the instances and the lines between them.
#[derive(Debug)]
pub(crate) struct Map {
    /// Code and city; no city where nobody told it.
    pub(crate) places: BTreeMap<String, Option<Cow<'static, str>>>,
    /// One in a region.
    pub(crate) instances: Vec<Instance>,
    /// Where those stand who do not say.
    pub(crate) default_place: String,
    /// The app's name, for `app=`.
    pub(crate) app: Option<String>,
    pub(crate) lines: Links,
    pub(crate) stands: Mutex<HashMap<String, Arc<Stand>>>,
}

impl Map {
    /// # Errors
    /// With all the places, when it is none of them.
    pub(crate) fn check(&self, place: &str) -> Result<(), UnknownPlace> {
        if self.places.contains_key(place) {
            return Ok(());
        }
        let known = self.places.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        Err(UnknownPlace { place: place.to_owned(), known })
    }

    /// The place with its routes, for somebody who stands there now.
    ///
    /// # Errors
    /// When there is no port for a door.
    pub(crate) fn stand(&self, place: &str) -> Result<Arc<Stand>, LabError> {
        let mut stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stand) = stands.get(place) {
            stand.visit();
            return Ok(stand.clone());
        }
        let stand = Stand::open(place, &self.instances, &self.lines)?;
        stands.insert(place.to_owned(), stand.clone());
        Ok(stand)
    }

    /// The regions of the instances, the nearest to `place` first; at equal distances in the order of the description.
    pub(crate) fn nearest(&self, place: &str) -> Vec<&str> {
        let mut regions: Vec<_> =
            self.instances.iter().map(|instance| instance.region.as_str()).collect();
        regions.sort_by_key(|region| (*region != place, self.lines.round_trip(place, region)));
        regions
    }

    /// The nearest instance that `place` has a line to, with the round-trip time.
    pub(crate) fn nearest_in_reach(&self, place: &str) -> Option<(&str, Duration)> {
        let region =
            self.nearest(place).into_iter().find(|region| !self.lines.is_cut(place, region))?;
        Some((region, self.lines.round_trip(place, region)))
    }

    /// The regions of `wanted` that have an instance, in that order, [`ANY`] being all the others, the nearest first.
    ///
    /// # Errors
    /// When a code is no place that the edge knows.
    pub(crate) fn among(&self, place: &str, wanted: &[String]) -> Result<Vec<&str>, UnknownPlace> {
        let nearest = self.nearest(place);
        let mut regions = Vec::new();
        for code in wanted {
            if code != ANY {
                self.check(code)?;
            }
            for region in &nearest {
                let is_meant = if code == ANY {
                    !wanted.iter().any(|named| named == region)
                } else {
                    code == region
                };
                if is_meant && !regions.contains(region) {
                    regions.push(*region);
                }
            }
        }
        Ok(regions)
    }

    /// Where a replay may go that the instance in `source` has asked for.
    ///
    /// # Errors
    /// When it asks for something that is not there.
    pub(crate) fn targets(
        &self,
        place: &str,
        source: &str,
        replay: &Replay,
    ) -> Result<Vec<&str>, NoTarget> {
        if let Some(app) = replay.app.as_ref().filter(|app| Some(*app) != self.app.as_ref()) {
            return Err(NoTarget::App { app: app.clone(), known: self.app.clone() });
        }
        let mut regions = if replay.regions.is_empty() {
            self.nearest(place)
        } else {
            self.among(place, &replay.regions)?
        };
        if let Some(id) = &replay.instance {
            if !self.instances.iter().any(|instance| instance.region == *id) {
                return Err(NoTarget::Instance {
                    id: id.clone(),
                    known: self.nearest(place).join(", "),
                });
            }
            regions.retain(|region| region == id);
        }
        if replay.elsewhere {
            regions.retain(|region| *region != source);
        }
        Ok(regions)
    }
}
