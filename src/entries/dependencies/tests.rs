//! Order, deltas and links against implementations straight from their rules.
#![expect(clippy::mutable_key_type, reason = "an id never changes")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::entries::entry::Entry;
use crate::entries::id::{Id, IdRef};
use crate::entries::op::{Op, OpKind};
use crate::entries::slots::Slots;
use crate::entries::state::State;
use crate::hashing::{WEAK, weaken, with_weak};
use crate::value::{Value, put_array_header, put_map_header, put_string};

type Entries = BTreeMap<Id, Entry>;

fn id(text: &str) -> Id {
    Id::new(IdRef::parse(text.as_bytes()))
}

fn entry(text: &str, kind: &str, depends_on: &[&str], groups: &[&str], data: &str) -> Entry {
    let mut meta = Vec::new();
    put_map_header(&mut meta, 2);
    for (key, list) in [("depends_on", depends_on), ("groups", groups)] {
        put_string(&mut meta, key.as_bytes());
        put_array_header(&mut meta, list.len() as u32);
        for text in list {
            put_string(&mut meta, text.as_bytes());
        }
    }
    let meta = Some(Value::from_canonical(&meta));
    let data = Some(Value::string(data.as_bytes()).unwrap());
    Entry::new(IdRef::parse(text.as_bytes()), kind.as_bytes(), meta, data).unwrap()
}

const IDS: [&str; 9] = ["a:a", "a:b", "a:c", "b:a", "b:b", "b:c", "ns:a", "group:g", "group:h"];
const TEXTS: [&str; 13] = [
    "a:a", "a:b", "a:c", "b:a", "b:b", "b:c", "a", "b", "ns:a", "ns:b", "group:g", "group:h", "x:y",
];
const GROUPS: [&str; 3] = ["g", "h", "b"];

fn some_entry() -> impl Strategy<Value = (Id, Entry)> {
    let texts = prop::collection::vec(prop::sample::select(&TEXTS[..]), 0..3);
    let groups = prop::collection::vec(prop::sample::select(&GROUPS[..]), 0..2);
    let kind = prop::sample::select(&["k", "l"][..]);
    let data = prop::sample::select(&["", "1"][..]);
    (prop::sample::select(&IDS[..]), kind, texts, groups, data).prop_map(
        |(text, kind, texts, groups, data)| (id(text), entry(text, kind, &texts, &groups, data)),
    )
}

fn some_entries() -> impl Strategy<Value = Entries> {
    prop::collection::vec(some_entry(), 0..8).prop_map(|entries| entries.into_iter().collect())
}

fn list(entries: &Entries) -> Vec<Entry> {
    entries.values().cloned().collect()
}

fn strings(entry: &Entry, key: &str) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(&entry.meta().to_json().unwrap()).unwrap();
    json[key].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// The ids of existing entries that `entry` depends on, from section 5.
fn depends_on(entry: &Entry, known: &Entries) -> BTreeSet<Id> {
    let mut found = BTreeSet::new();
    // Both are among the default patterns.
    for text in strings(entry, "depends_on").into_iter().chain(strings(entry, "groups")) {
        let full = if text.contains(':') {
            id(&text)
        } else {
            Id::new(IdRef { ns: entry.id().ns(), name: text.as_bytes() })
        };
        if known.contains_key(&full) {
            found.insert(full);
        } else if full.ns() == b"ns" {
            found.extend(known.keys().filter(|other| other.ns() == full.name()).cloned());
        } else if full.ns() == b"group" {
            let name = String::from_utf8(full.name().to_vec()).unwrap();
            let members = known.iter().filter(|(_, it)| strings(it, "groups").contains(&name));
            found.extend(members.map(|(id, _)| id.clone()));
        }
    }
    found.remove(entry.id());
    found
}

/// before, after, rule, target, source
type NaiveEdge = (usize, usize, u8, Id, Id);

fn naive_edges(ops: &[Op], left: &Entries, aimed: &Entries) -> Vec<NaiveEdge> {
    let mut edges = Vec::new();
    let is_delete = |op: &Op| op.kind == OpKind::Delete;
    for (a, op) in ops.iter().enumerate() {
        for (b, other) in ops.iter().enumerate() {
            if a == b {
                continue;
            }
            let (source, target) = (op.id().clone(), other.id().clone());
            if is_delete(op) && op.id() == other.id() {
                edges.push((a, b, 1, source.clone(), target.clone()));
            }
            if !is_delete(op) && !is_delete(other) && depends_on(&op.entry, aimed).contains(&target)
            {
                edges.push((b, a, 2, target.clone(), source.clone()));
            }
            if is_delete(op) && is_delete(other) && depends_on(&op.entry, left).contains(&target) {
                edges.push((a, b, 2, target.clone(), source.clone()));
            }
            if op.kind == OpKind::Update
                && is_delete(other)
                && depends_on(op.original.as_ref().unwrap(), left).contains(&target)
                && !depends_on(&op.entry, aimed).contains(&target)
            {
                edges.push((a, b, 3, target, source));
            }
        }
    }
    edges
}

fn reaches(edges: &[NaiveEdge], nodes: usize, from: usize, to: usize) -> bool {
    let mut seen = vec![false; nodes];
    let mut waiting = vec![from];
    while let Some(at) = waiting.pop() {
        if at == to {
            return true;
        }
        if !std::mem::replace(&mut seen[at], true) {
            waiting.extend(edges.iter().filter(|edge| edge.0 == at).map(|edge| edge.1));
        }
    }
    false
}

/// The order, and the edges that were not broken.
fn naive_order(ops: &[Op], left: &Entries, aimed: &Entries) -> (Vec<Op>, Vec<NaiveEdge>) {
    let mut edges = naive_edges(ops, left, aimed);
    loop {
        let weakest = edges
            .iter()
            .enumerate()
            .filter(|(_, edge)| edge.2 != 1 && reaches(&edges, ops.len(), edge.1, edge.0))
            .min_by_key(|(_, edge)| (3 - edge.2, edge.3.clone(), edge.4.clone()))
            .map(|(place, _)| place);
        match weakest {
            Some(place) => drop(edges.remove(place)),
            None => break,
        }
    }
    let mut done: Vec<usize> = Vec::new();
    while done.len() < ops.len() {
        let next = (0..ops.len())
            .filter(|node| !done.contains(node))
            .filter(|node| edges.iter().all(|edge| edge.1 != *node || done.contains(&edge.0)))
            .min_by_key(|&node| (ops[node].kind != OpKind::Delete, ops[node].id().clone()))
            .unwrap();
        done.push(next);
    }
    (done.into_iter().map(|node| ops[node].clone()).collect(), edges)
}

fn state_of(entries: &Entries) -> State {
    let mut state = State::new(Slots::new());
    entries.values().for_each(|entry| state.put(entry));
    state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn a_delta_makes_one_of_the_other_by_as_few_operations_as_can_be_in_the_right_order(
        left in some_entries(),
        aimed in some_entries(),
        turn in any::<prop::sample::Index>(),
        weak in 0..WEAK.len(),
    ) {
        let _weak = weaken(WEAK[weak].1);
        let patterns = Patterns::default();
        let ops = delta(&list(&left), &list(&aimed), &patterns).unwrap();
        let mut state = state_of(&left);
        state.replay(&ops);
        prop_assert_eq!(state.iter().cloned().collect::<Vec<_>>(), list(&aimed));

        let mut needed = 0;
        for id in left.keys().chain(aimed.keys()).collect::<BTreeSet<_>>() {
            needed += match (left.get(id), aimed.get(id)) {
                (Some(old), Some(new)) if old == new => 0,
                (Some(old), Some(new)) if old.kind() != new.kind() => 2,
                _ => 1,
            };
        }
        prop_assert_eq!(ops.len(), needed);

        let (expected, kept) = naive_order(&ops, &left, &aimed);
        prop_assert_eq!(&ops, &expected);
        // Every rule that no cycle broke holds; deletes before creates always.
        for (before, after, ..) in kept {
            prop_assert!(before != after);
        }
        for (place, op) in ops.iter().enumerate() {
            if op.kind == OpKind::Delete {
                let earlier = ops[..place].iter().any(|other| other.id() == op.id());
                prop_assert!(!earlier);
            }
        }

        // Neither list's order matters, nor that of the operations.
        let turned = |entries: &Entries| {
            let mut list = list(entries);
            if !list.is_empty() {
                let by = turn.index(list.len());
                list.rotate_left(by);
                list.reverse();
            }
            list
        };
        prop_assert_eq!(&delta(&turned(&left), &turned(&aimed), &patterns).unwrap(), &ops);
        let shuffled: Vec<Op> = ops.iter().rev().cloned().collect();
        let again = order(shuffled, &patterns, &state_of(&left), &state_of(&aimed));
        prop_assert_eq!(again, ops);
    }

    #[test]
    fn links_are_what_a_scan_finds_while_entries_and_patterns_change(
        changes in prop::collection::vec((some_entry(), any::<bool>()), 1..30),
        asked in prop::collection::vec(any::<bool>(), 30),
        register_at in 0..30_usize,
        weak in 0..WEAK.len(),
    ) {
        let _weak = weaken(WEAK[weak].1);
        let mut patterns = Arc::new(Patterns::default());
        let mut known = Entries::new();
        let mut state = State::new(Slots::new());
        for (place, ((id, entry), is_put)) in changes.into_iter().enumerate() {
            if place == register_at {
                let mut more = Patterns::clone(&patterns);
                more.register("meta.elsewhere", false).unwrap();
                patterns = Arc::new(more);
            }
            let mut next = state.clone();
            if is_put {
                next.put(&entry);
                known.insert(id, entry);
            } else {
                next.remove(id.parts());
                known.remove(&id);
            }
            state = next;
            if !asked[place] {
                continue;
            }
            let direct: BTreeMap<&Id, BTreeSet<Id>> =
                known.iter().map(|(id, entry)| (id, depends_on(entry, &known))).collect();
            for id in known.keys() {
                let reached = |forward: bool, transitive: bool| {
                    let mut seen = BTreeSet::from([id.clone()]);
                    let mut waiting = vec![id.clone()];
                    while let Some(at) = waiting.pop() {
                        let next: Vec<Id> = if forward {
                            direct[&at].iter().cloned().collect()
                        } else {
                            let back = direct.iter().filter(|(_, to)| to.contains(&at));
                            back.map(|(from, _)| (*from).clone()).collect()
                        };
                        for other in next {
                            if seen.insert(other.clone()) && transitive {
                                waiting.push(other);
                            }
                        }
                    }
                    seen.remove(id);
                    seen.into_iter().collect::<Vec<_>>()
                };
                for transitive in [false, true] {
                    let found = dependencies(&state, id.parts(), transitive, &patterns);
                    prop_assert_eq!(found, reached(true, transitive));
                    let found = dependents(&state, id.parts(), transitive, &patterns);
                    prop_assert_eq!(found, reached(false, transitive));
                }
            }
        }
    }
}

#[test]
fn lists_of_thousands_are_told_apart_by_weak_hashes() {
    with_weak(|| {
        let entry = |n: usize, round: usize| {
            let before = format!("n{}:e{}", (n + 6) % 7, n.saturating_sub(1));
            let data = if n.is_multiple_of(5) { round.to_string() } else { String::new() };
            entry(&format!("n{}:e{n}", n % 7), "k", &[&before], &[], &data)
        };
        let from: Vec<Entry> = (0..1500).map(|n| entry(n, 0)).collect();
        let mut to: Vec<Entry> = (300..1800).map(|n| entry(n, 1)).collect();
        to.reverse();
        let patterns = Arc::new(Patterns::default());
        let ops = delta(&from, &to, &patterns).unwrap();
        let changed = (300..1500).filter(|n: &usize| n.is_multiple_of(5)).count();
        assert_eq!(ops.len(), 300 + 300 + changed);
        let mut state = State::new(Slots::new());
        from.iter().for_each(|entry| state.put(entry));
        state.replay(&ops);
        let sorted = |list: &[Entry]| -> Entries {
            list.iter().map(|entry| (entry.id().clone(), entry.clone())).collect()
        };
        assert_eq!(state.iter().cloned().collect::<Vec<_>>(), list(&sorted(&to)));
        for n in (300..1799).step_by(100) {
            let found = dependents(&state, entry(n, 0).id().parts(), false, &patterns);
            assert_eq!(found, [entry(n + 1, 0).id().clone()]);
        }
    });
}

#[test]
fn an_id_twice_in_a_list_is_told_with_its_place() {
    let one = entry("a:b", "k", &[], &[], "");
    let lists = [vec![one.clone(), one.clone()], vec![one]];
    let patterns = Patterns::default();
    let told = |from: &[Entry], to: &[Entry]| delta(from, to, &patterns).unwrap_err().to_string();
    assert!(told(&lists[0], &lists[1]).starts_with("from[2]: the id a:b stands twice"));
    assert!(told(&lists[1], &lists[0]).starts_with("to[2]: "));
}

#[test]
fn many_operations_that_depend_on_groups_of_each_other_are_ordered_soon() {
    // 20000 services that depend on all of a namespace of 20000: 4 * 10^8 pairs.
    let mut to = Vec::new();
    for number in 0..20_000 {
        to.push(entry(&format!("lib:{number:05}"), "k", &[], &[], ""));
        to.push(entry(&format!("app:{number:05}"), "k", &["ns:lib"], &[], ""));
    }
    let ops = delta(&[], &to, &Patterns::default()).unwrap();
    let (first, second) = ops.split_at(20_000);
    assert!(first.iter().all(|op| op.id().ns() == b"lib"));
    assert!(second.windows(2).all(|pair| pair[0].id() < pair[1].id()));
    // A chain as long as a changeset may be.
    let chain: Vec<Entry> = (0..100_000)
        .map(|number| {
            let next = format!("c:{:06}", number + 1);
            entry(&format!("c:{number:06}"), "k", &[&next], &[], "")
        })
        .collect();
    let ops = delta(&[], &chain, &Patterns::default()).unwrap();
    assert!(ops.windows(2).all(|pair| pair[0].id() > pair[1].id()));
    // Everybody in a namespace depends on all of it: 10^10 pairs.
    let mutual: Vec<Entry> = (0..100_000)
        .map(|number| entry(&format!("m:{number:06}"), "k", &["ns:m", "group:g"], &["g"], ""))
        .collect();
    let ops = delta(&[], &mutual, &Patterns::default()).unwrap();
    assert!(ops.windows(2).all(|pair| pair[0].id() > pair[1].id()));
    let ops = delta(&mutual, &[], &Patterns::default()).unwrap();
    assert!(ops.windows(2).all(|pair| pair[0].id() < pair[1].id()));
}

#[test]
fn what_depends_on_a_namespace_of_many_is_walked_once() {
    // Everybody depends on everybody, by a namespace and by a group: 2 * 10^10 pairs.
    let names: Vec<String> = (0..100_000).map(|number| format!("m:{number:06}")).collect();
    let entries: Vec<Entry> =
        names.iter().map(|name| entry(name, "k", &["ns:m", "group:g"], &["g"], "")).collect();
    let state =
        state_of(&entries.iter().map(|entry| (entry.id().clone(), entry.clone())).collect());
    let patterns = Arc::new(Patterns::default());
    for walked in [dependents, dependencies] {
        let found = walked(&state, entries[7].id_parts(), true, &patterns);
        assert_eq!(found.len(), names.len() - 1);
        assert!(!found.contains(entries[7].id()));
    }
}

#[test]
fn many_cycles_are_broken_soon() {
    const LEN: usize = 50_000;
    let name = |number: usize| format!("y:{:06}", number % LEN);
    let entries: Vec<Entry> = (0..LEN)
        .map(|n| entry(&name(n), "k", &[&name(n + 1), &name(7 * n), &name(n / 2 + 11)], &[], ""))
        .collect();
    let started = std::time::Instant::now();
    let ops = delta(&[], &entries, &Patterns::default()).unwrap();
    assert_eq!(ops.len(), LEN);
    assert!(started.elapsed().as_secs() < 60);
}

/// Random numbers, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}

/// Rows of bits, each a set of places.
#[derive(Clone)]
struct Bits {
    rows: Vec<Vec<u64>>,
}

impl Bits {
    fn new(len: usize) -> Self {
        Self { rows: vec![vec![0; len.div_ceil(64)]; len] }
    }

    fn has(&self, row: usize, place: usize) -> bool {
        self.rows[row][place / 64] >> (place % 64) & 1 == 1
    }

    fn set(&mut self, row: usize, place: usize, value: bool) {
        let bit = 1 << (place % 64);
        let word = &mut self.rows[row][place / 64];
        *word = if value { *word | bit } else { *word & !bit };
    }

    /// What is reached from a place.
    fn reached(&self, from: usize) -> Vec<u64> {
        let mut seen = vec![0_u64; self.rows.len().div_ceil(64)];
        let mut waiting = vec![from];
        while let Some(at) = waiting.pop() {
            for (word, (seen, row)) in seen.iter_mut().zip(&self.rows[at]).enumerate() {
                let mut new = row & !*seen;
                *seen |= new;
                while new != 0 {
                    waiting.push(word * 64 + new.trailing_zeros() as usize);
                    new &= new - 1;
                }
            }
        }
        seen
    }

    /// The same edges the other way.
    fn turned(&self) -> Self {
        let len = self.rows.len();
        let mut turned = Self::new(len);
        for row in 0..len {
            for place in (0..len).filter(|&place| self.has(row, place)) {
                turned.set(place, row, true);
            }
        }
        turned
    }
}

/// What each of `sources` depends on in `known`, by its place among `ids`.
fn depends_on_all(
    sources: &[Option<&Entry>],
    ids: &BTreeMap<Id, usize>,
    known: &Entries,
) -> Vec<Vec<u64>> {
    let words = sources.len().div_ceil(64);
    let mut sets: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut join = |text: String, id: &Id| {
        if let Some(place) = ids.get(id) {
            sets.entry(text).or_insert_with(|| vec![0; words])[place / 64] |= 1 << (place % 64);
        }
    };
    for (id, entry) in known {
        join(format!("ns:{}", String::from_utf8_lossy(id.ns())), id);
        for group in strings(entry, "groups") {
            join(format!("group:{group}"), id);
        }
    }
    let mut rows = vec![vec![0_u64; words]; sources.len()];
    for (source, row) in sources.iter().zip(&mut rows) {
        let Some(source) = source else { continue };
        let texts = strings(source, "depends_on").into_iter().chain(strings(source, "groups"));
        for text in texts {
            let full = match text.contains(':') {
                true => id(&text),
                false => Id::new(IdRef { ns: source.id().ns(), name: text.as_bytes() }),
            };
            if known.contains_key(&full) {
                if let Some(place) = ids.get(&full) {
                    row[place / 64] |= 1 << (place % 64);
                }
            } else if let Some(set) = sets.get(&text) {
                row.iter_mut().zip(set).for_each(|(word, more)| *word |= more);
            }
        }
        if let Some(own) = ids.get(source.id()) {
            row[own / 64] &= !(1 << (own % 64));
        }
    }
    rows
}

/// As [`naive_order`], of thousands: every edge a bit, the weakest target after
/// the other.
fn large_order(ops: &[Op], left: &Entries, aimed: &Entries) -> Vec<Op> {
    let mut ops = ops.to_vec();
    ops.sort_by_key(|op| (op.kind != OpKind::Delete, op.id().clone()));
    let deletes = ops.iter().filter(|op| op.kind == OpKind::Delete).count();
    let len = ops.len();
    let places = |range: std::ops::Range<usize>| -> BTreeMap<Id, usize> {
        range.map(|place| (ops[place].id().clone(), place)).collect()
    };
    let (deleted, made) = (places(0..deletes), places(deletes..len));
    let sources = |wanted: &dyn Fn(&Op) -> bool, original: bool| {
        let of = |op: &'_ Op| if original { op.original.clone() } else { Some(op.entry.clone()) };
        ops.iter().map(|op| of(op).filter(|_| wanted(op))).collect::<Vec<_>>()
    };
    let rows = |entries: &[Option<Entry>], ids: &BTreeMap<Id, usize>, known: &Entries| {
        let entries: Vec<Option<&Entry>> = entries.iter().map(Option::as_ref).collect();
        depends_on_all(&entries, ids, known)
    };
    let is_delete = |op: &Op| op.kind == OpKind::Delete;
    let is_update = |op: &Op| op.kind == OpKind::Update;
    let by_deletes = rows(&sources(&is_delete, true), &deleted, left);
    let by_others = rows(&sources(&|op| !is_delete(op), false), &made, aimed);
    let used = rows(&sources(&is_update, true), &deleted, left);

    let mut edges = Bits::new(len);
    let mut stops = Bits::new(len);
    for source in 0..len {
        for target in 0..len {
            if by_deletes[source][target / 64] >> (target % 64) & 1 == 1 {
                edges.set(source, target, true);
            }
            if by_others[source][target / 64] >> (target % 64) & 1 == 1 {
                edges.set(target, source, true);
            }
            if used[source][target / 64] >> (target % 64) & 1 == 1 {
                let again = made.get(ops[target].id());
                let is_kept =
                    again.is_some_and(|&it| by_others[source][it / 64] >> (it % 64) & 1 == 1);
                stops.set(source, target, !is_kept);
            }
        }
    }
    let mut same = Bits::new(len);
    for (id, &target) in &made {
        if let Some(&source) = deleted.get(id) {
            same.set(source, target, true);
        }
    }
    let all = |edges: &Bits, stops: &Bits| {
        let mut all = edges.clone();
        for (row, more) in all.rows.iter_mut().zip(stops.rows.iter().zip(&same.rows)) {
            for (word, (stops, same)) in row.iter_mut().zip(more.0.iter().zip(more.1)) {
                *word |= stops | same;
            }
        }
        all
    };
    // Updates that stop using something, by the smallest of that.
    for target in 0..deletes {
        if (0..len).any(|source| stops.has(source, target)) {
            let reached = all(&edges, &stops).reached(target);
            for source in 0..len {
                if reached[source / 64] >> (source % 64) & 1 == 1 {
                    stops.set(source, target, false);
                }
            }
        }
    }
    // What depends on what: from its sources to it, or the other way.
    for target in 0..deletes {
        let reached = edges.reached(target);
        for source in 0..deletes {
            if reached[source / 64] >> (source % 64) & 1 == 1 {
                edges.set(source, target, false);
            }
        }
    }
    let mut turned = edges.turned();
    for target in deletes..len {
        // Who reaches the target.
        let reached = turned.reached(target);
        for source in deletes..len {
            if reached[source / 64] >> (source % 64) & 1 == 1 {
                edges.set(target, source, false);
                turned.set(source, target, false);
            }
        }
    }
    let waits = all(&edges, &stops).turned();
    let mut undone = vec![0_u64; len.div_ceil(64)];
    (0..len).for_each(|place| undone[place / 64] |= 1 << (place % 64));
    let mut done = Vec::new();
    for _ in 0..len {
        let is_undone = |place: usize| undone[place / 64] >> (place % 64) & 1 == 1;
        let is_ready = |place: &usize| {
            is_undone(*place) && waits.rows[*place].iter().zip(&undone).all(|(a, b)| a & b == 0)
        };
        let next = (0..len).find(is_ready).expect("cycles are broken");
        undone[next / 64] &= !(1 << (next % 64));
        done.push(ops[next].clone());
    }
    done
}

/// Two states of thousands of entries, in few namespaces and groups. `odd` of a
/// thousand entries name others one by one.
fn large_states(random: &mut Random, count: usize, odd: usize) -> [Entries; 2] {
    let mut states = [Entries::new(), Entries::new()];
    let [spaces, groups] = [1 + random.below(3), 1 + random.below(3)];
    let ids: Vec<String> =
        (0..count).map(|n| format!("n{}:e{n:05}", random.below(spaces))).collect();
    // Which namespaces and groups depend on which.
    let texts: Vec<Vec<String>> = (0..spaces)
        .map(|_| {
            let mut texts = Vec::new();
            for _ in 0..random.below(3) {
                texts.push(match random.below(2) {
                    0 => format!("ns:n{}", random.below(spaces)),
                    _ => format!("group:g{}", random.below(groups)),
                });
            }
            texts
        })
        .collect();
    for state in &mut states {
        for text in &ids {
            if random.below(4) == 0 {
                continue;
            }
            let space = text.as_bytes()[1] - b'0';
            let mut depends_on = texts[usize::from(space)].clone();
            if random.below(1000) < odd {
                depends_on.push(ids[random.below(count)].clone());
            }
            if random.below(1000) < odd {
                depends_on.push(format!("ns:n{}", random.below(spaces)));
            }
            if random.below(1000) < odd {
                depends_on.push(format!("group:g{}", random.below(groups)));
            }
            if random.below(1000) < odd {
                depends_on.clear();
            }
            let joined = if random.below(2) == 0 { vec![] } else { vec![random.below(groups)] };
            let joined: Vec<String> = joined.into_iter().map(|it| format!("g{it}")).collect();
            let kind = if random.below(5) == 0 { "l" } else { "k" };
            let data = format!("{}", random.below(2));
            let texts = |list: &[String]| list.to_vec();
            let (depends_on, joined) = (texts(&depends_on), texts(&joined));
            let depends_on: Vec<&str> = depends_on.iter().map(String::as_str).collect();
            let joined: Vec<&str> = joined.iter().map(String::as_str).collect();
            state.insert(id(text), entry(text, kind, &depends_on, &joined, &data));
        }
    }
    states
}

#[test]
fn orders_of_thousands_in_a_namespace_or_a_group_are_what_the_rules_say() {
    let patterns = Patterns::default();
    for seed in 0..40 {
        let mut random = Random(seed);
        let count = if seed < 36 { 150 } else { 3000 };
        let odd = [0, 3, 30, 300][seed as usize % 4];
        let [left, aimed] = large_states(&mut random, count, odd);
        for [left, aimed] in [[&left, &aimed], [&Entries::new(), &aimed], [&left, &Entries::new()]]
        {
            let ops = delta(&list(left), &list(aimed), &patterns).unwrap();
            let expected = large_order(&ops, left, aimed);
            let differs = ops.iter().zip(&expected).position(|(ours, theirs)| ours != theirs);
            assert_eq!(differs, None, "seed {seed}");
        }
    }
}
