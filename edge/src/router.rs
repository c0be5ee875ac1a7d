//! Which instances may get a request, and in which order.

use std::time::Duration;

use archipelago_lab::Links;

use crate::headers::fly_replay::FlyReplay;
use crate::instance::Instance;
use crate::places::{ANY, Places, UnknownPlace};

/// What a replay names that the edge does not have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnknownTarget {
    #[error(transparent)]
    Place(#[from] UnknownPlace),
    #[error("unknown instance `{id}`: the instances are {known}")]
    Instance { id: String, known: String },
    #[error("unknown app `{app}`: {}", only(known.as_deref()))]
    App { app: String, known: Option<String> },
}

fn only(app: Option<&str>) -> String {
    match app {
        Some(app) => format!("the edge serves `{app}`"),
        None => "the edge was given no name of its app".to_owned(),
    }
}

/// Chooses instances by their distance from a place.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) places: Places,
    /// One in each region.
    pub(crate) instances: Vec<Instance>,
    /// The app's name, which `app=` in a `fly-replay` must equal.
    pub(crate) app: Option<String>,
    /// The distances.
    pub(crate) links: Links,
}

impl Router {
    /// The regions of all instances, the nearest to `place` first. Those at the same distance stay
    /// in the order of the instances.
    pub(crate) fn nearest(&self, place: &str) -> Vec<&str> {
        let mut regions: Vec<_> =
            self.instances.iter().map(|instance| instance.region.as_str()).collect();
        regions.sort_by_key(|region| (*region != place, self.links.round_trip(place, region)));
        regions
    }

    /// The nearest region whose link from `place` is not cut, and its round-trip time.
    pub(crate) fn nearest_reachable(&self, place: &str) -> Option<(&str, Duration)> {
        let region =
            self.nearest(place).into_iter().find(|region| !self.links.is_cut(place, region))?;
        Some((region, self.links.round_trip(place, region)))
    }

    /// The regions of `wanted` that have an instance, in that order. [`ANY`] stands for all others,
    /// the nearest first.
    ///
    /// # Errors
    /// When a code is not a place.
    pub(crate) fn candidates(
        &self,
        place: &str,
        wanted: &[String],
    ) -> Result<Vec<&str>, UnknownPlace> {
        let nearest = self.nearest(place);
        let mut regions = Vec::new();
        for code in wanted {
            if code != ANY {
                self.places.check(code)?;
            }
            for region in &nearest {
                let is_wanted = if code == ANY {
                    !wanted.iter().any(|named| named == region)
                } else {
                    code == region
                };
                if is_wanted && !regions.contains(region) {
                    regions.push(*region);
                }
            }
        }
        Ok(regions)
    }

    /// The regions to try for a replay that the instance in `source` asks for.
    ///
    /// # Errors
    /// When a place, the instance or the app is unknown.
    pub(crate) fn replay_candidates(
        &self,
        place: &str,
        source: &str,
        replay: &FlyReplay,
    ) -> Result<Vec<&str>, UnknownTarget> {
        if let Some(app) = replay.app.as_ref().filter(|app| Some(*app) != self.app.as_ref()) {
            return Err(UnknownTarget::App { app: app.clone(), known: self.app.clone() });
        }
        let mut regions = if replay.regions.is_empty() {
            self.nearest(place)
        } else {
            self.candidates(place, &replay.regions)?
        };
        if let Some(id) = &replay.instance {
            if !self.instances.iter().any(|instance| instance.region == *id) {
                let known = self.nearest(place).join(", ");
                return Err(UnknownTarget::Instance { id: id.clone(), known });
            }
            regions.retain(|region| region == id);
        }
        if replay.elsewhere {
            regions.retain(|region| *region != source);
        }
        Ok(regions)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use archipelago_lab::Distances;

    use super::*;

    /// Instances in Tokyo, Sydney and Chicago. Chicago is the nearest to Paris.
    fn router(app: Option<&str>) -> Router {
        let instance = |region: &str| Instance {
            region: region.to_owned(),
            address: (Ipv4Addr::LOCALHOST, 1).into(),
        };
        let milliseconds = Duration::from_millis;
        let distances = Distances::default()
            .with_round_trip("syd", "nrt", milliseconds(2))
            .with_round_trip("syd", "ord", milliseconds(4))
            .with_round_trip("nrt", "ord", milliseconds(3))
            .with_round_trip("cdg", "ord", milliseconds(1))
            .with_round_trip("cdg", "nrt", milliseconds(2))
            .with_round_trip("cdg", "syd", milliseconds(3));
        Router {
            places: Places::new(["depot".to_owned()], "nrt".to_owned()),
            instances: ["nrt", "syd", "ord"].map(instance).to_vec(),
            app: app.map(str::to_owned),
            links: Links::new(distances).unwrap(),
        }
    }

    #[test]
    fn the_nearest_instance_comes_first() {
        let router = router(None);
        let cases = [
            ("syd", ["syd", "nrt", "ord"]),
            ("nrt", ["nrt", "syd", "ord"]),
            ("cdg", ["ord", "nrt", "syd"]),
            // Without distances, the order of the instances.
            ("depot", ["nrt", "syd", "ord"]),
        ];
        for (place, regions) in cases {
            assert_eq!(router.nearest(place), regions, "{place}");
        }
    }

    #[test]
    fn a_cut_link_makes_the_next_one_nearest() {
        let router = router(None);
        let reachable =
            || router.nearest_reachable("cdg").map(|(region, time)| (region, time.as_millis()));
        for expected in [Some(("ord", 1)), Some(("nrt", 2)), Some(("syd", 3)), None] {
            assert_eq!(reachable(), expected);
            if let Some((region, _)) = expected {
                router.links.cut("cdg", region).unwrap();
            }
        }
    }

    #[test]
    fn wanted_regions_come_in_their_order() {
        let router = router(None);
        let cases: [(&[&str], Option<&[&str]>); 7] = [
            (&["any"], Some(&["syd", "nrt", "ord"])),
            (&["ord", "any"], Some(&["ord", "syd", "nrt"])),
            (&["any", "syd"], Some(&["nrt", "ord", "syd"])),
            (&["ord", "nrt", "ord"], Some(&["ord", "nrt"])),
            (&["cdg"], Some(&[])),
            (&["cdg", "any"], Some(&["syd", "nrt", "ord"])),
            (&["ord", "mars"], None),
        ];
        for (wanted, regions) in cases {
            let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
            assert_eq!(router.candidates("syd", &wanted).ok().as_deref(), regions, "{wanted:?}");
        }
    }

    #[test]
    fn every_field_narrows_the_targets_of_a_replay() {
        let router = router(Some("shop"));
        let cases: [(&str, &[&str]); 10] = [
            ("region=ord", &["ord"]),
            ("region=syd", &["syd"]),
            ("region=\"cdg,ord,nrt\"", &["ord", "nrt"]),
            ("region=\"cdg,any\"", &["syd", "nrt", "ord"]),
            ("elsewhere=true", &["nrt", "ord"]),
            ("region=any;elsewhere=true", &["nrt", "ord"]),
            ("instance=ord", &["ord"]),
            ("region=nrt;instance=ord", &[]),
            ("instance=syd;elsewhere=true", &[]),
            ("app=shop", &["syd", "nrt", "ord"]),
        ];
        for (replay, regions) in cases {
            let replay_candidates =
                router.replay_candidates("syd", "syd", &replay.parse().unwrap());
            assert_eq!(replay_candidates.unwrap(), regions, "{replay}");
        }
    }

    #[test]
    fn unknown_targets_of_a_replay_are_errors() {
        let cases = [
            (None, "instance=00bb", "unknown instance `00bb`: the instances are syd, nrt, ord"),
            (None, "app=other", "unknown app `other`: the edge was given no name of its app"),
            (Some("shop"), "app=other", "unknown app `other`: the edge serves `shop`"),
        ];
        for (app, replay, message) in cases {
            let router = router(app);
            let error =
                router.replay_candidates("syd", "syd", &replay.parse().unwrap()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let router = router(None);
        let error = router.replay_candidates("syd", "syd", &"region=us".parse().unwrap());
        assert!(error.unwrap_err().to_string().starts_with("unknown place `us`: the places are "));
    }
}
