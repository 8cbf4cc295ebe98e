//! Messages as the plugin sends them, with what can go wrong on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use glauber::ingest::{TimedSpikes, TimestampBinner, TimestampError, TimestampSettings};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::facts::{Fact, Fatal, Why};
use super::kept::Entry;
use super::message::{Body, Malformed, Message, parse};
use super::rate::Rate;
use super::relay::{Neurons, News, OnRestart, Relay, Settings};
use super::roster::{Policy, Roster};
use super::tracker::Tracker;

const MS: i64 = 1_000_000;
/// Samples of a block: 10 ms at 30 kHz.
const BLOCK: i64 = 300;

fn data_header(number: i64, first_sample: i64) -> Value {
    json!({
        "message_num": number, "type": "data",
        "content": {"stream": "probe", "channel_num": 0, "num_samples": BLOCK, "sample_num": first_sample, "sample_rate": 30000.0},
        "data_size": 4 * BLOCK, "timestamp": 1_700_000_000_000_i64 + (first_sample + BLOCK) / 30,
    })
}

fn spike_header(number: i64, electrode: &str, sorted_id: i64, sample: i64) -> Value {
    json!({
        "message_num": number, "type": "spike",
        "spike": {
            "stream": "probe", "source_node": 105, "electrode": electrode, "sample_num": sample, "num_channels": 4, "num_samples": 40,
            "sorted_id": sorted_id, "threshold": [-50.0, -50.0, -50.0, -50.0],
        },
        "timestamp": 1_700_000_000_000_i64 + sample / 30,
    })
}

fn frames(envelope: &str, header: &Value, payload: usize) -> Vec<Vec<u8>> {
    vec![format!("{envelope}\0").into_bytes(), header.to_string().into_bytes(), vec![0; payload]]
}

fn data(number: i64, first_sample: i64) -> Message {
    parse(&frames("DATA", &data_header(number, first_sample), 4 * BLOCK as usize)).unwrap()
}

fn spike(number: i64, electrode: &str, sorted_id: i64, sample: i64) -> Message {
    parse(&frames("EVENT", &spike_header(number, electrode, sorted_id, sample), 640)).unwrap()
}

/// The header with one place changed: `/spike/electrode` and the like; removed when the value is null.
fn changed(mut header: Value, place: &str, value: Value) -> Value {
    let (parent, key) = place.rsplit_once('/').unwrap();
    let parent = header.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(key)
    } else {
        parent.insert(key.to_owned(), value)
    };
    header
}

#[test]
fn what_the_plugin_sends_is_understood() {
    let message = spike(7, "Tetrode 3", 2, 4711);
    let Body::Spike(spike) = &message.body else { panic!("{message:?}") };
    assert_eq!(
        (message.number, spike.sample, spike.unit.to_string().as_str()),
        (7, 4711, "Tetrode 3 unit 2")
    );
    assert_eq!(message.timestamp_ms, Some(1_700_000_000_157));
    let Body::Data(block) = data(8, 600).body else { panic!() };
    assert_eq!((block.first_sample, block.samples, block.rate), (600, 300, Rate::new(30_000.0).unwrap()));
    // A TTL event: line, state and word, 10 bytes; and one without payload, which has two frames.
    let event = json!({
        "message_num": 9, "type": "event", "data_size": 10, "timestamp": 1_700_000_000_157_i64,
        "content": {"stream": "probe", "source_node": 100, "type": 3, "sample_num": 601},
    });
    assert!(
        matches!(parse(&frames("EVENT", &event, 10)).unwrap().body, Body::Event(event) if event.sample == 601)
    );
    let empty = changed(event, "/data_size", json!(0));
    assert!(matches!(parse(&frames("EVENT", &empty, 10)[..2]).unwrap().body, Body::Event(_)));
    let parameter = json!({"message_num": 10, "type": "param", "content": {"gain": 3}});
    assert_eq!(parse(&frames("PARAM", &parameter, 0)).unwrap().body, Body::Other);
}

#[test]
fn what_it_never_sends_is_told_by_what_is_wrong() {
    let spike = || spike_header(1, "T", 0, 5);
    let of_spike = |place: &str, value: Value| {
        parse(&frames("EVENT", &changed(spike(), place, value), 640)).unwrap_err().to_string()
    };
    let of_data = |place: &str, value: Value| {
        let header = changed(data_header(1, 0), place, value);
        parse(&frames("DATA", &header, 4 * BLOCK as usize)).unwrap_err().to_string()
    };
    assert_eq!(of_spike("/message_num", Value::Null), "a header that cannot be read: no `message_num`");
    assert_eq!(
        of_spike("/message_num", json!(1_i64 << 40)),
        "message_num is 1099511627776, expected a number of 32 bits"
    );
    assert_eq!(of_spike("/spike", Value::Null), "a header that cannot be read: no `spike`");
    assert!(of_spike("/spike/electrode", Value::Null).contains("missing field `electrode`"));
    assert!(of_spike("/spike/electrode", json!("a\u{1b}[2J")).starts_with("electrode is"));
    assert!(of_spike("/spike/sorted_id", json!(-1)).starts_with("sorted_id is -1"));
    assert!(of_spike("/spike/sample_num", json!(-1)).starts_with("sample_num is -1"));
    assert!(of_spike("/spike/num_channels", json!(i64::MAX)).starts_with("num_channels is"));
    assert_eq!(of_spike("/spike/num_samples", json!(41)), "a payload of 640 bytes, expected 656");
    assert_eq!(of_spike("/type", json!("data")), "a header that cannot be read: no `content`");
    assert!(of_data("/content/sample_rate", json!(0)).starts_with("sample_rate is 0, expected 100 to"));
    assert!(of_data("/content/num_samples", json!(0)).starts_with("num_samples is 0"));
    assert!(of_data("/content/sample_num", json!("7")).starts_with("a header that cannot be read"));
    let old = changed(changed(spike(), "/message_num", Value::Null), "/message_no", json!(1));
    assert_eq!(parse(&frames("EVENT", &old, 640)), Err(Malformed::OldPlugin));
    assert!(matches!(parse(&frames("DATA", &spike(), 640)), Err(Malformed::Envelope(_))));
    assert!(matches!(parse(&frames("EVENT", &spike(), 640)[..2]), Err(Malformed::Parts { got: 2, .. })));
    assert!(matches!(parse(&[]), Err(Malformed::Parts { got: 0, .. })));
    assert!(matches!(parse(&vec![vec![]; 8]), Err(Malformed::Parts { got: 8, .. })));
    let long = vec![b"EVENT\0".to_vec(), vec![b' '; 1 << 20], vec![]];
    assert!(matches!(parse(&long), Err(Malformed::HeaderBytes(_))));
    let deep = vec![b"EVENT\0".to_vec(), vec![b'['; 60_000], vec![]];
    assert!(matches!(parse(&deep), Err(Malformed::Header(_))));
}

/// What a tracker of 10 ms bins makes of messages that come one after the other.
fn facts(messages: impl IntoIterator<Item = Message>) -> Result<(Vec<Fact>, Tracker), Fatal> {
    let mut tracker = Tracker::new(10 * MS, None, None);
    let mut facts = Vec::new();
    for message in messages {
        tracker.take(message, Duration::ZERO, &mut facts)?;
    }
    Ok((facts, tracker))
}

#[test]
fn an_acquisition_heard_from_its_start_begins_at_its_first_sample() {
    let (facts, tracker) =
        facts([spike(1, "T", 1, 3), data(2, 0), spike(3, "T", 1, 200), data(4, 300)]).unwrap();
    assert_eq!(
        facts,
        [
            Fact::Begin { origin_ns: 0 },
            Fact::Spike { unit: 0, time_ns: 100_000 },
            Fact::Clock { time_ns: 10 * MS },
            // Of the end of the block before: the detector leaves it to the next.
            Fact::Spike { unit: 0, time_ns: 6_666_666 },
            Fact::Clock { time_ns: 20 * MS },
        ]
    );
    assert_eq!(tracker.counts().before_start, 0);
}

#[test]
fn who_joins_late_begins_with_the_next_whole_bin() {
    // The block of the first message was heard in part: it ends at 1005 ms, the next bin begins at 1010 ms.
    let (facts, tracker) =
        facts([spike(700, "T", 1, 30_000), data(701, 29_850), spike(702, "T", 1, 30_300), data(703, 30_150)])
            .unwrap();
    assert_eq!(facts[0], Fact::Begin { origin_ns: 1010 * MS });
    assert!(facts.contains(&Fact::Spike { unit: 0, time_ns: 1010 * MS }));
    assert_eq!(tracker.counts().before_start, 1);
}

#[test]
fn lost_messages_leave_out_what_they_may_have_held() {
    // Data of block 1 come, then everything up to data of block 4 is lost: spikes from 20 ms on, and those the detector had left over.
    let (facts, tracker) = facts([data(1, 0), data(2, 300), data(7, 1200), data(8, 1500)]).unwrap();
    let delay_ns = 200 * 1_000_000_000 / 30_000 + 1;
    let gap = Fact::Unobserved { start_ns: 20 * MS - delay_ns, stop_ns: 50 * MS, why: Why::Lost };
    let gaps: Vec<&Fact> = facts.iter().filter(|fact| matches!(fact, Fact::Unobserved { .. })).collect();
    assert_eq!(gaps, [&gap]);
    assert_eq!((tracker.counts().lost_messages, tracker.counts().losses), (4, 1));
}

#[test]
fn data_lost_between_data_of_one_block_cost_nothing() {
    let (facts, tracker) = facts([data(1, 0), data(2, 300), data(9, 300), data(10, 600)]).unwrap();
    assert!(!facts.iter().any(|fact| matches!(fact, Fact::Unobserved { .. })), "{facts:?}");
    assert_eq!(tracker.counts().lost_messages, 6);
}

#[test]
fn samples_left_out_by_the_stream_are_a_gap() {
    let (facts, _) = facts([data(1, 0), data(2, 900)]).unwrap();
    assert!(facts.iter().any(
        |fact| matches!(fact, Fact::Unobserved { stop_ns, why: Why::Skipped, .. } if *stop_ns == 30 * MS)
    ));
}

#[test]
fn a_new_acquisition_follows_as_much_later_as_the_clock_of_the_rig_says() {
    let mut later = [spike(1, "T", 1, 30), data(2, 0)];
    // 10 ms of the first acquisition ended at …010 ms; this block ends 12.345 s later.
    later.iter_mut().for_each(|message| message.timestamp_ms = Some(1_700_000_012_355));
    let messages = [data(1, 0), data(2, 0)].into_iter().chain(later);
    let (facts, tracker) = facts(messages).unwrap();
    let offset_ns = 12_350 * MS; // 12.345 s - 0 s, up to the next bin.
    assert!(facts.contains(&Fact::Restarted));
    assert!(facts.contains(&Fact::Spike { unit: 0, time_ns: MS + offset_ns }), "{facts:?}");
    assert!(facts.contains(&Fact::Clock { time_ns: 10 * MS + offset_ns }));
    let gap = |fact: &Fact| matches!(fact, Fact::Unobserved { stop_ns, why: Why::Stopped, .. } if *stop_ns == offset_ns);
    assert!(facts.iter().any(gap), "{facts:?}");
    assert_eq!(tracker.counts().restarts, 1);
}

#[test]
fn a_new_acquisition_is_known_by_its_samples_too() {
    // The messages up to its number 5000 were lost.
    let (facts, _) = facts([data(1, 30_000), data(2, 30_300), data(5000, 600)]).unwrap();
    assert!(facts.contains(&Fact::Restarted));
    let clocks: Vec<i64> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Clock { time_ns } => Some(*time_ns),
            _ => None,
        })
        .collect();
    assert!(clocks.is_sorted(), "time goes on: {clocks:?}");
}

#[test]
fn numbers_of_messages_wrap() {
    let (facts, tracker) = facts([data(i64::from(i32::MAX), 0), data(i64::from(i32::MIN), 300)]).unwrap();
    assert_eq!(tracker.counts().lost_messages, 0);
    assert!(!facts.contains(&Fact::Restarted));
}

#[test]
fn a_message_that_comes_twice_counts_once() {
    let (facts, tracker) =
        facts([data(1, 0), spike(2, "T", 1, 310), spike(2, "T", 1, 310), data(3, 300)]).unwrap();
    assert_eq!(facts.iter().filter(|fact| matches!(fact, Fact::Spike { .. })).count(), 1);
    assert_eq!(tracker.counts().duplicates, 1);
}

#[test]
fn what_makes_no_sense_ends_the_stream() {
    let mut faster = data(2, 300);
    if let Body::Data(block) = &mut faster.body {
        block.rate = Rate::new(20_000.0).unwrap();
    }
    assert!(matches!(facts([data(1, 0), faster]), Err(Fatal::RateChanged { .. })));
    let mut other = data(2, 300);
    if let Body::Data(block) = &mut other.body {
        block.stream = "other".to_owned();
    }
    let error = facts([data(1, 0), other.clone()]).err().unwrap().to_string();
    assert_eq!(error, "two streams come from there, 'probe' and 'other': choose one with --stream");
    // Chosen, the other one only counts.
    let mut tracker = Tracker::new(10 * MS, Some("probe".to_owned()), None);
    let mut facts = Vec::new();
    for message in [data(1, 0), other, data(3, 300)] {
        assert_eq!(tracker.take(message, Duration::ZERO, &mut facts), Ok(None));
    }
    assert_eq!((tracker.counts().other_streams, tracker.counts().lost_messages), (1, 0));
    assert_eq!(facts.last(), Some(&Fact::Clock { time_ns: 20 * MS }));
}

#[test]
fn a_spike_of_an_absurd_time_is_as_good_as_lost() {
    let mut tracker = Tracker::new(10 * MS, None, None);
    let mut facts = Vec::new();
    tracker.take(data(1, 0), Duration::ZERO, &mut facts).unwrap();
    let malformed = tracker.take(spike(2, "T", 1, 1 << 45), Duration::ZERO, &mut facts).unwrap();
    assert!(malformed.is_some());
    tracker.take(data(3, 300), Duration::ZERO, &mut facts).unwrap();
    assert!(facts.iter().any(|fact| matches!(fact, Fact::Unobserved { why: Why::Lost, .. })), "{facts:?}");
    assert_eq!(facts.last(), Some(&Fact::Clock { time_ns: 20 * MS }));
}

#[test]
fn without_data_spikes_move_the_clock() {
    let mut tracker = Tracker::new(10 * MS, None, Rate::new(30_000.0));
    let mut facts = Vec::new();
    for message in [spike(1, "T", 1, 300), spike(2, "T", 1, 30_000), spike(3, "T", 1, 60_000)] {
        tracker.take(message, Duration::ZERO, &mut facts).unwrap();
    }
    assert_eq!(facts[0], Fact::Begin { origin_ns: 10 * MS });
    assert!(facts.contains(&Fact::Clock { time_ns: 1900 * MS }), "{facts:?}");
    facts.clear();
    tracker.take(spike(5, "T", 1, 90_000), Duration::ZERO, &mut facts).unwrap();
    let gap = |fact: &Fact| matches!(fact, Fact::Unobserved { start_ns, stop_ns, .. } if *start_ns == 1900 * MS - 6_666_667 && *stop_ns == 3100 * MS);
    assert!(gap(&facts[0]), "{facts:?}");
}

#[test]
fn spikes_of_absurd_times_before_data_and_after_a_loss_are_dropped() {
    let far = 1 << 45;
    let mut tracker = Tracker::new(10 * MS, None, None);
    let mut facts = Vec::new();
    let mut take = |message| tracker.take(message, Duration::ZERO, &mut facts).unwrap();
    assert_eq!((take(spike(1, "T", 1, far)), take(spike(2, "T", 1, 30))), (None, None));
    assert!(take(data(3, 0)).is_some());
    // A loss; ahead, but by less than another acquisition would be.
    assert_eq!(take(spike(6, "T", 1, 300_000)), None);
    assert!(take(data(7, 300)).is_some());
    assert_eq!(take(data(8, 600)), None);
    let spikes: Vec<&Fact> = facts.iter().filter(|fact| matches!(fact, Fact::Spike { .. })).collect();
    assert_eq!(spikes, [&Fact::Spike { unit: 0, time_ns: MS }]);
    let gaps = facts.iter().filter(|fact| matches!(fact, Fact::Unobserved { why: Why::Lost, .. })).count();
    assert_eq!((gaps, tracker.counts().implausible), (2, 2));
}

#[test]
fn an_event_of_an_absurd_time_does_not_move_the_clock() {
    let event = |number: i64, sample: i64| {
        let header = json!({
            "message_num": number, "type": "event", "data_size": 10, "timestamp": 1_700_000_000_000_i64,
            "content": {"stream": "probe", "source_node": 100, "type": 3, "sample_num": sample},
        });
        parse(&frames("EVENT", &header, 10)).unwrap()
    };
    let mut tracker = Tracker::new(10 * MS, None, Rate::new(30_000.0));
    let mut facts = Vec::new();
    tracker.take(spike(1, "T", 1, 30_000), Duration::ZERO, &mut facts).unwrap();
    assert!(tracker.take(event(2, 1 << 45), Duration::ZERO, &mut facts).unwrap().is_some());
    assert_eq!(tracker.take(event(3, 60_000), Duration::ZERO, &mut facts).unwrap(), None);
    let newest = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Clock { time_ns } => Some(*time_ns),
            _ => None,
        })
        .max();
    assert_eq!(newest, Some(1900 * MS));
}

#[test]
fn two_acquisitions_of_one_message_each_are_two() {
    let mut later = data(1, 0);
    later.timestamp_ms = later.timestamp_ms.map(|ms| ms + 5000);
    let (facts, tracker) = facts([data(1, 0), later.clone(), later]).unwrap();
    assert!(facts.contains(&Fact::Restarted));
    assert_eq!((tracker.counts().restarts, tracker.counts().duplicates), (1, 1));
}

/// What the daemon makes of all that a relay tells until it is ended: the bins of its blocks.
fn binned(relay: &mut Relay) -> Result<Vec<u64>, TimestampError> {
    let mut binner = TimestampBinner::new(TimestampSettings {
        n_neurons: 1,
        bin_width: "10ms".parse().unwrap(),
        origin_ns: relay.origin_ns().unwrap(),
        lateness_us: relay.tracker().lateness_us(),
        sources: Vec::new(),
        block_bins_max: 100,
    })?;
    for is_end in [false, true] {
        // What came before the end has been sent by then.
        if is_end {
            relay.finish(10 * MS);
        }
        while let Some(times) = relay.kept.next() {
            binner.take(&TimedSpikes {
                source: 0,
                neurons: times.neurons,
                times_ns: times.times_ns,
                clock_ns: times.clock_ns,
                unobserved: times
                    .unobserved
                    .iter()
                    .map(|stretch| stretch.start_ns..stretch.stop_ns)
                    .collect(),
                offset_ns: None,
            })?;
        }
    }
    binner.finish();
    let blocks = std::iter::from_fn(|| binner.next_block());
    Ok(blocks
        .flat_map(|block| (block.first_bin()..).zip(block.bins()).map(|(bin, _)| bin).collect::<Vec<_>>())
        .collect())
}

#[test]
fn the_unheard_end_of_an_acquisition_is_left_out_when_the_bridge_ends_with_it() {
    let roster = Roster::from_list("T").unwrap();
    let mut relay = Relay::new(Settings { on_restart: OnRestart::End, ..settings(Neurons::Listed(roster)) });
    let mut news = Vec::new();
    // From 2 to 32 ms, bins from 10 ms on; of 25 to 32 ms there may be more.
    for message in [data(1, 60), data(2, 360), data(3, 660), data(1, 0)] {
        relay.take(Ok(message), Duration::ZERO, &mut news).unwrap();
    }
    assert!(relay.is_over());
    assert_eq!(binned(&mut relay).unwrap(), [0]);
}

#[test]
fn without_data_the_end_is_left_out_where_the_daemon_still_can() {
    for newest in [60_000, 60_001, 60_299] {
        let roster = Roster::from_list("T").unwrap();
        let rate = Rate::new(30_000.0);
        let mut relay = Relay::new(Settings { rate, ..settings(Neurons::Listed(roster)) });
        let mut news = Vec::new();
        for message in [spike(1, "T", 1, 0), spike(2, "T", 1, 30_000), spike(3, "T", 1, newest)] {
            relay.take(Ok(message), Duration::ZERO, &mut news).unwrap();
        }
        let late_ns = relay.tracker().lateness_us() as i64 * 1000;
        let newest_ns = rate.unwrap().time_ns(newest).unwrap();
        let expected: Vec<u64> = (0..((newest_ns - late_ns) / (10 * MS)) as u64).collect();
        assert_eq!(binned(&mut relay).unwrap(), expected, "{newest}");
    }
}

#[test]
fn every_spike_is_accounted_for() {
    let roster = Roster::from_list("T").unwrap();
    let mut relay = Relay::new(Settings {
        duration: Some(Duration::from_millis(20)),
        ..settings(Neurons::Listed(roster))
    });
    let mut news = Vec::new();
    let messages = [
        spike(1, "T", 0, 30),
        spike(2, "T", 0, 1 << 45),
        spike(3, "X", 0, 40),
        data(4, 0),
        data(5, 300),
        spike(6, "T", 0, 650),
        data(7, 600),
        data(8, 900),
        spike(9, "T", 0, 1250),
    ];
    for message in messages {
        relay.take(Ok(message), Duration::ZERO, &mut news).unwrap();
    }
    let counts = relay.tracker().counts();
    assert_eq!((counts.spikes, relay.passed(), counts.implausible), (5, (1, 1), 1));
    assert_eq!((relay.roster().unwrap().unknown().len(), relay.held_back()), (1, (1, 1)));
}

#[test]
fn spikes_without_any_rate_are_not_waited_for_forever() {
    let mut tracker = Tracker::new(10 * MS, None, None);
    let mut facts = Vec::new();
    let one = spike(1, "T", 1, 1);
    let mut messages = (1..).map(|number| Message { number, ..one.clone() });
    let end = messages.find_map(|message| tracker.take(message, Duration::ZERO, &mut facts).err());
    assert_eq!(end, Some(Fatal::NoData));
    assert!(facts.is_empty());
}

fn settings(neurons: Neurons) -> Settings {
    Settings {
        bin_width: "10ms".parse().unwrap(),
        stream: None,
        rate: None,
        neurons,
        on_restart: OnRestart::Continue,
        duration: None,
    }
}

#[test]
fn spikes_of_the_discovery_are_part_of_the_session() {
    let mut relay = Relay::new(settings(Neurons::Discovered { during_ns: 30 * MS, policy: Policy::Auto }));
    let mut news = Vec::new();
    let messages = [
        spike(1, "T 2", 1, 10),
        spike(2, "T 1", 0, 20),
        data(3, 0),
        data(4, 300),
        spike(5, "T 1", 4, 620),
        data(6, 600),
        spike(7, "T 3", 1, 950),
        data(8, 900),
    ];
    for message in messages {
        relay.take(Ok(message), Duration::ZERO, &mut news).unwrap();
    }
    let labels: Vec<String> =
        relay.roster().unwrap().neurons().into_iter().map(|neuron| neuron.label).collect();
    assert_eq!(labels, ["T 1 unit 4", "T 2 unit 1"]);
    let mut spikes = Vec::new();
    while let Some(times) = relay.kept.next() {
        spikes.extend(times.neurons.into_iter().zip(times.times_ns));
    }
    assert_eq!(spikes, [(1, 333_333), (0, 20_666_666)]);
    assert_eq!((relay.roster().unwrap().unsorted(), relay.roster().unwrap().unknown().len()), (1, 1));
    assert!(news.contains(&News::UnknownUnit("T 3 unit 1".to_owned())));
}

#[test]
fn nothing_comes_after_the_duration() {
    let roster = Roster::from_list("T").unwrap();
    let mut relay = Relay::new(Settings {
        duration: Some(Duration::from_millis(20)),
        ..settings(Neurons::Listed(roster))
    });
    let mut news = Vec::new();
    for (number, block) in (0..5).map(|block| (2 * block + 1, block)) {
        relay.take(Ok(spike(number, "T", 0, 300 * block + 299)), Duration::ZERO, &mut news).unwrap();
        relay.take(Ok(data(number + 1, 300 * block)), Duration::ZERO, &mut news).unwrap();
    }
    assert!(relay.is_over());
    let times = relay.kept.next().unwrap();
    assert_eq!((times.neurons.len(), times.clock_ns), (2, Some(20 * MS)));
}

/// Messages of an acquisition as plugin and detector send them: of each block the spikes in the order of electrodes, those of the last 100 samples
/// with the next block, then the data of `channels`.
fn acquisition(spikes: &BTreeSet<(u8, u16)>, blocks: i64, channels: i64) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    for block in 0..blocks {
        let detected = (block * BLOCK - 100)..((block + 1) * BLOCK - 100);
        for &(electrode, sample) in spikes.iter().filter(|(_, sample)| detected.contains(&i64::from(*sample)))
        {
            messages.push(spike(next(), &format!("E{electrode}"), 0, i64::from(sample)));
        }
        for _ in 0..channels {
            messages.push(data(next(), block * BLOCK));
        }
    }
    messages
}

proptest! {
    /// Whatever is lost on the way: in the bins that are left, exactly the spikes that there were.
    #[test]
    fn bins_that_are_observed_hold_every_spike(
        spikes in prop::collection::btree_set((0..3_u8, 0..6000_u16), 0..200),
        lost in prop::collection::btree_set(0..400_usize, 0..12),
        joined in 0..60_usize,
        channels in 1..4_i64,
    ) {
        const WIDTH: i64 = 2 * MS;
        let roster = Roster::from_list("E0\nE1\nE2").unwrap();
        let mut relay = Relay::new(Settings { bin_width: "2ms".parse().unwrap(), ..settings(Neurons::Listed(roster)) });
        let mut news = Vec::new();
        for (place, message) in acquisition(&spikes, 20, channels).into_iter().enumerate().skip(joined) {
            if !lost.contains(&place) {
                prop_assert_eq!(relay.take(Ok(message), Duration::ZERO, &mut news), Ok(None));
            }
        }
        let Some(origin_ns) = relay.origin_ns() else { return Ok(()) };
        let (mut got, mut gaps, mut end_ns) = (BTreeSet::new(), BTreeSet::new(), origin_ns);
        while let Some(times) = relay.kept.next() {
            got.extend(times.neurons.iter().zip(&times.times_ns).map(|(&neuron, ns)| (ns / WIDTH, neuron)));
            for stretch in times.unobserved {
                gaps.extend(stretch.start_ns / WIDTH..=(stretch.stop_ns - 1) / WIDTH);
            }
            end_ns = end_ns.max(times.clock_ns.unwrap_or(0));
        }
        let rate = Rate::new(30_000.0).unwrap();
        let true_bin = |sample: u16| rate.time_ns(i64::from(sample)).unwrap() / WIDTH;
        let expected: BTreeSet<(i64, u32)> = spikes.iter().map(|&(e, sample)| (true_bin(sample), u32::from(e))).collect();
        // Spikes of the end come with the block after it.
        let last = (end_ns - relay.tracker().lateness_us() as i64 * 1000) / WIDTH;
        let counts = |bin: &i64| (origin_ns / WIDTH..last).contains(bin) && !gaps.contains(bin);
        let of = |all: &BTreeSet<(i64, u32)>| -> Vec<(i64, u32)> { all.iter().filter(|(bin, _)| counts(bin)).copied().collect() };
        prop_assert_eq!(of(&got), of(&expected));
        prop_assert!(lost.len() > 3 || gaps.len() < 80, "gaps are no larger than needed: {}", gaps.len());
    }

    /// Any bytes are a message or an error.
    #[test]
    fn any_frames_are_taken_or_refused(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5)) {
        let _ = parse(&parts);
    }

    /// No order of messages leads to a panic, a clock that goes back, or a spike before the session.
    #[test]
    fn time_goes_on_whatever_comes(
        messages in prop::collection::vec((any::<bool>(), -3..40_i64, prop_oneof![0..20_000_i64, 0..1_i64 << 50]), 0..60),
        rate in prop::option::of(Just(30_000.0)),
    ) {
        let mut tracker = Tracker::new(10 * MS, None, rate.and_then(Rate::new));
        let mut facts = Vec::new();
        for (is_data, number, sample) in messages {
            let message = if is_data { data(number, sample) } else { spike(number, "T", 0, sample) };
            if tracker.take(message, Duration::ZERO, &mut facts).is_err() {
                break;
            }
        }
        let (mut now_ns, mut origin) = (i64::MIN, i64::MIN);
        for fact in facts {
            match fact {
                Fact::Begin { origin_ns } => origin = origin_ns,
                Fact::Clock { time_ns } => {
                    prop_assert!(time_ns >= now_ns, "the clock went from {} to {}", now_ns, time_ns);
                    now_ns = time_ns;
                }
                Fact::Spike { time_ns, .. } => prop_assert!(time_ns >= origin),
                Fact::Unobserved { start_ns, stop_ns, .. } => prop_assert!(start_ns < stop_ns),
                Fact::Restarted => {}
            }
        }
    }
}

#[test]
fn entries_are_small() {
    assert!(size_of::<Entry>() <= 24);
    assert!(size_of::<Fact>() <= 32);
}
