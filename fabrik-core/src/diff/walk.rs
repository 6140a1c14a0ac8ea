//! Walks two trees side by side and finds the rows in which they differ.
//!
//! On each level the lists of nodes that remain are merged by first key, and a node that both have is
//! passed over unread, with everything below it. What remains at the bottom is read leaf by leaf and
//! merged row by row. Passing over equal content on both sides takes the same rows from both, so the
//! result is exactly the difference of two multisets of rows, and it costs what differs.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::Result;
use crate::id::ChunkId;
use crate::tree::Node;
use crate::tree::branch::Branch;
use crate::tree::leaf::{Leaf, LeafRow};
use crate::tree::reader::{Child, LEAVES_AT_ONCE, TreeReader, children};

/// How many branches are expanded at a time on one side.
const BRANCHES_AT_ONCE: usize = 32;
/// How many groups are found at a time: few enough that what is made of them is still in the cache when it is used.
const GROUPS_AT_ONCE: usize = 512;

/// A row where it lies in its leaf.
#[derive(Clone, Debug)]
pub(crate) struct RowAt {
    leaf: Arc<Leaf>,
    index: usize,
}

impl RowAt {
    pub(crate) fn row(&self) -> LeafRow<'_> {
        self.leaf.row(self.index)
    }
}

/// The rows of one key that are not on both sides: equal ones have cancelled. At least one side has rows.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) key: Vec<u8>,
    pub(crate) before: Vec<RowAt>,
    pub(crate) after: Vec<RowAt>,
}

impl Group {
    /// Lets go of its rows, and with them of their leaves.
    fn emptied(mut self) -> Self {
        self.key.clear();
        self.before.clear();
        self.after.clear();
        self
    }
}

/// What the walk counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Rows that are on both sides.
    pub(crate) unchanged: u64,
    /// Keys met more than once: before, after, on either side.
    pub(crate) duplicates: [u64; 3],
}

/// Two trees under comparison. They must be sorted by the same key.
#[derive(Debug)]
pub(crate) struct Walk<'s> {
    reader: TreeReader<'s>,
    before: Side,
    after: Side,
    pending: Option<Group>,
    /// Empty groups, whose room is used again.
    spare: Vec<Group>,
    /// How many pairs of leaves were matched so far.
    pairs: usize,
    pub(crate) counted: Counted,
}

/// What is left of one tree, from the front.
#[derive(Debug, Default)]
struct Side {
    /// Unread branches just above leaves; they follow the leaves below.
    branches: VecDeque<Child>,
    /// Unread leaves; they follow those that were read.
    unread: VecDeque<Child>,
    leaves: VecDeque<Loaded>,
    /// The next row in the first leaf.
    row: usize,
}

/// A leaf that was read.
#[derive(Debug)]
struct Loaded {
    leaf: Arc<Leaf>,
    /// Which pair of leaves it belongs to, one from either side with the same first key; 0 for none.
    pair: usize,
    /// The rows that its counterpart has too, found ahead of the merge, on all cores.
    matched: Vec<bool>,
}

/// Marks the rows that two leaves share: those whose key stands once in either, with equal attributes. The
/// first and last rows are left to the merge, since their keys may go on in the next leaf.
fn match_rows(older: &Leaf, newer: &Leaf) -> [Vec<bool>; 2] {
    let mut matched = [vec![false; older.len()], vec![false; newer.len()]];
    let (mut i, mut j) = (1, 1);
    while i + 1 < older.len() && j + 1 < newer.len() {
        match older.key(i).cmp(newer.key(j)) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => {
                let single =
                    |leaf: &Leaf, at: usize| leaf.key(at - 1) != leaf.key(at) && leaf.key(at) != leaf.key(at + 1);
                if single(older, i) && single(newer, j) && older.row(i) == newer.row(j) {
                    (matched[0][i], matched[1][j]) = (true, true);
                }
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    matched
}

/// Finds the leaves of both sides that start with the same key and matches their rows.
fn match_leaves(older: &mut [Loaded], newer: &mut [Loaded], pairs_before: usize) -> usize {
    let (mut i, mut j) = (0, 0);
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    while i < older.len() && j < newer.len() {
        match older[i].leaf.key(0).cmp(newer[j].leaf.key(0)) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => {
                pairs.push((i, j));
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    let matched: Vec<[Vec<bool>; 2]> =
        pairs.par_iter().with_min_len(16).map(|&(i, j)| match_rows(&older[i].leaf, &newer[j].leaf)).collect();
    for (number, ((i, j), [of_older, of_newer])) in pairs.iter().copied().zip(matched).enumerate() {
        let pair = pairs_before + number + 1;
        (older[i].pair, older[i].matched) = (pair, of_older);
        (newer[j].pair, newer[j].matched) = (pair, of_newer);
    }
    pairs_before + pairs.len()
}

impl Side {
    fn key(&self) -> Option<&[u8]> {
        self.leaves.front().map(|front| front.leaf.key(self.row))
    }

    fn next(&mut self) -> RowAt {
        let front = self.leaves.front().expect("the caller saw a key");
        let row = RowAt { leaf: Arc::clone(&front.leaf), index: self.row };
        self.advance();
        row
    }

    fn advance(&mut self) {
        self.row += 1;
        if self.leaves.front().is_some_and(|front| front.leaf.len() == self.row) {
            self.leaves.pop_front();
            self.row = 0;
        }
    }

    /// Returns the pair whose other leaf has the next row too.
    fn matched(&self) -> Option<usize> {
        let front = self.leaves.front()?;
        front.matched.get(self.row).copied().unwrap_or(false).then_some(front.pair)
    }

    fn is_out_of_rows(&self) -> bool {
        self.leaves.is_empty()
    }

    fn is_exhausted(&self) -> bool {
        self.leaves.is_empty() && self.unread.is_empty() && self.branches.is_empty()
    }
}

/// Takes nodes that both lists have out of them, and returns the rows below those.
///
/// A node stays when rows of one key lie on both sides of one of its edges, so that every key is met with
/// all its rows or not at all. Only keys with many rows cross edges.
///
/// `goes_on` says of either list whether the node after its last one starts with the key before it.
fn cancel(before: &mut Vec<Child>, after: &mut Vec<Child>, goes_on: [bool; 2]) -> u64 {
    let (mut i, mut j, mut rows) = (0, 0, 0);
    let (mut kept_before, mut kept_after) = (Vec::new(), Vec::new());
    let is_whole = |nodes: &[Child], at: usize, goes_on: bool| {
        !nodes[at].is_continued() && !nodes.get(at + 1).map_or(goes_on, Child::is_continued)
    };
    while i < before.len() && j < after.len() {
        match before[i].first_key().cmp(after[j].first_key()) {
            Ordering::Less => {
                kept_before.push(before[i].clone());
                i += 1;
            }
            Ordering::Greater => {
                kept_after.push(after[j].clone());
                j += 1;
            }
            Ordering::Equal => {
                let equal = before[i].id() == after[j].id();
                if equal && is_whole(before, i, goes_on[0]) && is_whole(after, j, goes_on[1]) {
                    rows += before[i].rows();
                } else {
                    kept_before.push(before[i].clone());
                    kept_after.push(after[j].clone());
                }
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    kept_before.extend_from_slice(&before[i..]);
    kept_after.extend_from_slice(&after[j..]);
    (*before, *after) = (kept_before, kept_after);
    rows
}

/// Nodes of one level, not yet read.
#[derive(Debug)]
struct Frontier {
    level: u8,
    nodes: Vec<Child>,
}

impl Frontier {
    fn below(branch: Arc<Branch>) -> Self {
        Self { level: branch.level() - 1, nodes: children([branch]) }
    }

    async fn descend(&mut self, reader: TreeReader<'_>) -> Result<()> {
        let ids: Vec<ChunkId> = self.nodes.iter().map(Child::id).collect();
        self.nodes = children(reader.branches(&ids, self.level).await?);
        self.level -= 1;
        Ok(())
    }
}

impl<'s> Walk<'s> {
    /// Reads both trees down to the branches above their leaves, as far as they differ.
    pub(crate) async fn start(reader: TreeReader<'s>, before: ChunkId, after: ChunkId) -> Result<Self> {
        let mut walk = Self {
            reader,
            before: Side::default(),
            after: Side::default(),
            pending: None,
            spare: Vec::new(),
            pairs: 0,
            counted: Counted::default(),
        };
        let mut roots = reader.nodes(&[before, after]).await?;
        let (after_root, before_root) = (roots.pop(), roots.pop());
        if before == after {
            walk.counted.unchanged = before_root.map_or(0, |root| root.rows());
            return Ok(walk);
        }
        let mut older = walk.before.open(before_root);
        let mut newer = walk.after.open(after_root);
        loop {
            if let (Some(older), Some(newer)) = (&mut older, &mut newer)
                && older.level == newer.level
            {
                walk.counted.unchanged += cancel(&mut older.nodes, &mut newer.nodes, [false; 2]);
            }
            let level = |frontier: &Option<Frontier>| frontier.as_ref().map_or(0, |frontier| frontier.level);
            let highest = level(&older).max(level(&newer));
            if highest <= 1 {
                break;
            }
            for frontier in [&mut older, &mut newer].into_iter().flatten() {
                if frontier.level == highest {
                    frontier.descend(reader).await?;
                }
            }
        }
        walk.before.take(older);
        walk.after.take(newer);
        Ok(walk)
    }

    /// Returns the next differing rows, keys ascending; `None` after the last.
    ///
    /// Whoever has read the groups should give them back to [`reuse`](Self::reuse).
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Group>>> {
        let mut found = Vec::new();
        loop {
            self.merge(&mut found);
            if !found.is_empty() {
                return Ok(Some(found));
            }
            if self.before.is_exhausted() && self.after.is_exhausted() {
                self.settle(&mut found);
                return Ok(if found.is_empty() { None } else { Some(found) });
            }
            self.fill().await?;
        }
    }

    /// Takes groups that nobody needs any more, so that the next ones need no room of their own.
    pub(crate) fn reuse(&mut self, groups: Vec<Group>) {
        self.spare.extend(groups.into_iter().map(Group::emptied));
    }

    /// Reads leaves until neither side is out of rows without being at its end.
    async fn fill(&mut self) -> Result<()> {
        loop {
            let starved = |side: &Side| side.is_out_of_rows() && !side.is_exhausted();
            if !starved(&self.before) && !starved(&self.after) {
                return Ok(());
            }
            let dry = |side: &Side| side.is_out_of_rows() && side.unread.is_empty() && !side.branches.is_empty();
            if dry(&self.before) || dry(&self.after) {
                self.expand().await?;
                continue;
            }
            let batch = |side: &Side| side.unread.len().min(LEAVES_AT_ONCE.saturating_sub(side.leaves.len()));
            let (older, newer) = (batch(&self.before), batch(&self.after));
            let ids: Vec<ChunkId> = self
                .before
                .unread
                .drain(..older)
                .chain(self.after.unread.drain(..newer))
                .map(|leaf| leaf.id())
                .collect();
            let mut leaves = self.reader.leaves(&ids).await?.into_iter();
            let loaded = |leaf: Arc<Leaf>| (leaf.len() > 0).then_some(Loaded { leaf, pair: 0, matched: Vec::new() });
            let mut of_older: Vec<Loaded> = leaves.by_ref().take(older).filter_map(loaded).collect();
            let mut of_newer: Vec<Loaded> = leaves.filter_map(loaded).collect();
            self.pairs = match_leaves(&mut of_older, &mut of_newer, self.pairs);
            self.before.leaves.extend(of_older);
            self.after.leaves.extend(of_newer);
        }
    }

    /// Reads some branches on both sides, over the same range of keys as far as that goes.
    async fn expand(&mut self) -> Result<()> {
        let mut older: Vec<Child> = take_front(&mut self.before.branches, BRANCHES_AT_ONCE);
        let mut newer: Vec<Child> = take_front(&mut self.after.branches, BRANCHES_AT_ONCE);
        // Give back what lies beyond the other side's range, so that equal leaves meet and cancel. Where
        // they do not, because ranges do not align, they are read and their rows cancel.
        let end_older = self.before.branches.front().map(|next| next.first_key().to_vec());
        let end_newer = self.after.branches.front().map(|next| next.first_key().to_vec());
        if let Some(end) = &end_older {
            give_back(&mut newer, &mut self.after.branches, end, older.is_empty());
        }
        if let Some(end) = &end_newer {
            give_back(&mut older, &mut self.before.branches, end, newer.is_empty());
        }
        let ids: Vec<ChunkId> = older.iter().chain(&newer).map(Child::id).collect();
        let mut branches = self.reader.branches(&ids, 1).await?.into_iter();
        let mut older = children(branches.by_ref().take(older.len()));
        let mut newer = children(branches);
        let goes_on = |side: &Side| side.branches.front().is_some_and(Child::is_continued);
        let goes_on = [goes_on(&self.before), goes_on(&self.after)];
        self.counted.unchanged += cancel(&mut older, &mut newer, goes_on);
        self.before.unread.extend(older);
        self.after.unread.extend(newer);
        Ok(())
    }

    /// Merges the rows at hand, until one side must be read further or enough is found.
    fn merge(&mut self, found: &mut Vec<Group>) {
        while found.len() < GROUPS_AT_ONCE {
            let starved = |side: &Side| side.is_out_of_rows() && !side.is_exhausted();
            if starved(&self.before) || starved(&self.after) {
                return;
            }
            // The usual case first. With both next rows matched in one pair, it is to one another: nothing that
            // stands before either is left.
            if let Some(pair) = self.before.matched()
                && self.after.matched() == Some(pair)
            {
                self.settle(found);
                self.counted.unchanged += 1;
                self.before.advance();
                self.after.advance();
                continue;
            }
            let order = match (self.before.key(), self.after.key()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(older), Some(newer)) => older.cmp(newer),
            };
            let side = if order.is_gt() { &self.after } else { &self.before };
            let key = side.key().expect("the order was found from it");
            if self.pending.as_ref().is_none_or(|pending| pending.key != key) {
                let mut group = self.spare.pop().unwrap_or_default();
                group.key.extend_from_slice(key);
                self.settle(found);
                self.pending = Some(group);
            }
            let pending = self.pending.as_mut().expect("it was just made");
            if order.is_le() {
                pending.before.push(self.before.next());
            }
            if order.is_ge() {
                pending.after.push(self.after.next());
            }
        }
    }

    /// Ends the group under way: lets equal rows cancel and keeps what is left.
    fn settle(&mut self, found: &mut Vec<Group>) {
        let Some(mut group) = self.pending.take() else { return };
        let repeats = [group.before.len() > 1, group.after.len() > 1];
        self.counted.duplicates[0] += u64::from(repeats[0]);
        self.counted.duplicates[1] += u64::from(repeats[1]);
        self.counted.duplicates[2] += u64::from(repeats[0] || repeats[1]);
        self.counted.unchanged += match (&group.before[..], &group.after[..]) {
            ([older], [newer]) => {
                let equal = older.row() == newer.row();
                if equal {
                    group.before.clear();
                    group.after.clear();
                }
                u64::from(equal)
            }
            _ => cancel_rows(&mut group.before, &mut group.after, |row| row.row().content()),
        };
        if group.before.is_empty() && group.after.is_empty() {
            self.spare.push(group.emptied());
        } else {
            found.push(group);
        }
    }
}

impl Side {
    /// Starts from a root: a leaf is all there is, a branch gives a frontier.
    fn open(&mut self, root: Option<Node>) -> Option<Frontier> {
        match root? {
            Node::Leaf(leaf) => {
                self.leaves.extend((leaf.len() > 0).then(|| Loaded { leaf, pair: 0, matched: Vec::new() }));
                None
            }
            Node::Branch(branch) => Some(Frontier::below(branch)),
        }
    }

    fn take(&mut self, frontier: Option<Frontier>) {
        match frontier {
            Some(Frontier { level: 0, nodes }) => self.unread = nodes.into(),
            Some(Frontier { nodes, .. }) => self.branches = nodes.into(),
            None => {}
        }
    }
}

fn take_front(from: &mut VecDeque<Child>, most: usize) -> Vec<Child> {
    from.drain(..most.min(from.len())).collect()
}

/// Puts nodes that start at `end` or later back, but at least one stays when `keep_one`.
fn give_back(taken: &mut Vec<Child>, queue: &mut VecDeque<Child>, end: &[u8], keep_one: bool) {
    while taken.len() > usize::from(keep_one)
        && let Some(node) = taken.pop_if(|node| node.first_key() >= end)
    {
        queue.push_front(node);
    }
}

/// Takes rows that are equal out of both lists, which stay in the order of their content; returns how many.
pub(super) fn cancel_rows<R>(before: &mut Vec<R>, after: &mut Vec<R>, content: impl Fn(&R) -> Vec<u8>) -> u64 {
    if before.is_empty() || after.is_empty() {
        return 0;
    }
    let sorted = |rows: &mut Vec<R>| {
        let mut with_content: Vec<(Vec<u8>, R)> = rows.drain(..).map(|row| (content(&row), row)).collect();
        with_content.sort_by(|one, other| one.0.cmp(&other.0));
        with_content
    };
    let mut older = sorted(before).into_iter().peekable();
    let mut newer = sorted(after).into_iter().peekable();
    let mut equal = 0;
    while let (Some(one), Some(other)) = (older.peek(), newer.peek()) {
        let order = one.0.cmp(&other.0);
        let (take_older, take_newer) = (order.is_le(), order.is_ge());
        let one = if take_older { older.next() } else { None };
        let other = if take_newer { newer.next() } else { None };
        match (one, other) {
            (Some(_), Some(_)) => equal += 1,
            (one, other) => {
                before.extend(one.map(|(_, row)| row));
                after.extend(other.map(|(_, row)| row));
            }
        }
    }
    before.extend(older.map(|(_, row)| row));
    after.extend(newer.map(|(_, row)| row));
    equal
}
