//! How a node fared lately, in bounded memory: every sample of the last hour, five-minute means of the day before it.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::live::NodeSample;

/// Samples kept as they came: an hour at one every five seconds.
pub const FINE: usize = 720;
/// Means kept of what is older: a day of them.
pub const COARSE: usize = 288;
/// What one mean stands for, seconds.
const SPAN: i64 = 300;

/// A few figures of one moment, or their means over five minutes. A figure that is not known is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Point {
    /// Seconds since 1970.
    pub at: i64,
    /// Share of all processors in use, percent.
    pub cpu: Option<f32>,
    /// Load average over a minute.
    pub load: Option<f32>,
    /// Share of memory in use, percent.
    pub memory: Option<f32>,
    /// Share of the root file system in use, percent.
    pub disk: Option<f32>,
    /// Received, bytes per second.
    pub received: Option<f32>,
    /// Sent, bytes per second.
    pub sent: Option<f32>,
    /// Hottest sensor, degrees Celsius.
    pub temperature: Option<f32>,
}

impl Point {
    /// The figures of `sample`, seen at `at`.
    pub fn of(sample: &NodeSample, at: Timestamp) -> Self {
        let rate = |bytes: Option<u64>| bytes.map(|bytes| bytes as f32);
        Self {
            at: at.as_second(),
            cpu: sample.cpu_percent,
            load: sample.load_known().map(|load| load[0]),
            memory: sample.memory_used_percent(),
            disk: sample.disk_used_percent(),
            received: rate(sample.received),
            sent: rate(sample.sent),
            temperature: sample.temperature,
        }
    }

    fn figures(&mut self) -> [&mut Option<f32>; 7] {
        [
            &mut self.cpu,
            &mut self.load,
            &mut self.memory,
            &mut self.disk,
            &mut self.received,
            &mut self.sent,
            &mut self.temperature,
        ]
    }
}

/// The bounded history of one node.
#[derive(Debug, Clone, Default)]
pub struct History {
    fine: VecDeque<Point>,
    coarse: VecDeque<Point>,
    /// What is on its way from fine to coarse: points of one span.
    gathering: Vec<Point>,
}

impl History {
    /// Takes in a point; one that is not newer than the last is passed over (a clock that was set back).
    pub fn push(&mut self, point: Point) {
        if self.fine.back().is_some_and(|last| last.at >= point.at) {
            return;
        }
        self.fine.push_back(point);
        if self.fine.len() <= FINE {
            return;
        }
        let Some(old) = self.fine.pop_front() else {
            return;
        };
        let span = |point: &Point| point.at.div_euclid(SPAN);
        if self
            .gathering
            .first()
            .is_some_and(|first| span(first) != span(&old))
        {
            self.coarse.push_back(mean(&mut self.gathering));
            self.gathering.clear();
            if self.coarse.len() > COARSE {
                self.coarse.pop_front();
            }
        }
        // Of a node that is sampled faster than once a second a mean needs no more than this.
        if self.gathering.len() < FINE {
            self.gathering.push(old);
        }
    }

    /// The newest `most` points, oldest first; what is older than an hour as means.
    pub fn newest(&self, most: usize) -> Vec<Point> {
        let all = self.coarse.len() + self.fine.len();
        self.coarse
            .iter()
            .chain(&self.fine)
            .skip(all.saturating_sub(most))
            .copied()
            .collect()
    }
}

/// The mean of points of one span, as of the newest of them.
fn mean(points: &mut [Point]) -> Point {
    let mut mean = Point {
        at: points.last().map_or(0, |point| point.at),
        ..Point::default()
    };
    for index in 0..mean.figures().len() {
        let known: Vec<f32> = points
            .iter_mut()
            .filter_map(|point| *point.figures()[index])
            .collect();
        if !known.is_empty() {
            *mean.figures()[index] = Some(known.iter().sum::<f32>() / known.len() as f32);
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(at: i64, cpu: f32) -> Point {
        Point {
            at,
            cpu: Some(cpu),
            ..Point::default()
        }
    }

    #[test]
    fn an_hour_is_kept_as_it_came_and_a_day_as_means() {
        let mut history = History::default();
        for second in 0..100_000 {
            history.push(point(second * 5, (second % 60) as f32));
        }
        let all = history.newest(usize::MAX);
        assert_eq!(all.len(), FINE + COARSE);
        assert_eq!(all.last().unwrap().at, 99_999 * 5);
        let coarse = &all[..COARSE];
        assert!(
            coarse.iter().all(|mean| mean.cpu == Some(29.5)),
            "{coarse:?}"
        );
        assert!(coarse.windows(2).all(|two| two[1].at - two[0].at == SPAN));
        assert_eq!(history.newest(3).len(), 3);
    }

    #[test]
    fn what_is_not_known_counts_for_no_mean() {
        let mut points = [
            point(1, 10.0),
            Point {
                at: 2,
                ..Point::default()
            },
            point(3, 20.0),
        ];
        let mean = mean(&mut points);
        assert_eq!((mean.at, mean.cpu, mean.load), (3, Some(15.0), None));
    }

    proptest! {
        #[test]
        fn history_is_bounded_and_in_order_whatever_the_clock_does(times in prop::collection::vec(any::<i64>(), 0..3000)) {
            let mut history = History::default();
            for at in times {
                history.push(point(at, 1.0));
            }
            let all = history.newest(usize::MAX);
            prop_assert!(all.len() <= FINE + COARSE);
            prop_assert!(all.windows(2).all(|two| two[0].at < two[1].at));
        }
    }
}
