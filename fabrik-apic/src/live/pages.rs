//! Pages of one query, some at a time.

use std::hash::BuildHasher;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use fabrik_core::RowBatch;
use futures_util::{StreamExt, stream};
use hashbrown::{DefaultHashBuilder, HashSet};

use super::Delivery;
use super::reader::Reader;
use super::tally::Tally;
use crate::client::Fetched;
use crate::error::{ApicError, ApicResult};
use crate::query::ApicQuery;

/// Objects a page has.
const PAGE_SIZE: u64 = 5000;
/// Objects a page has when others come nested below them.
const NESTED_PAGE_SIZE: u64 = 100;
/// By how much a page is cut that is too big.
pub(super) const SMALLER: u64 = 10;

/// One page: `size` objects from `offset` on, a multiple of `size`.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    size: u64,
}

/// Which objects have come so far, by the hash of their DN: eight bytes and the space around them for each.
#[derive(Debug, Default)]
struct Seen {
    hashes: HashSet<u64>,
    hasher: DefaultHashBuilder,
}

impl Seen {
    /// Takes note of a page and returns how many of its objects were on an earlier one.
    ///
    /// The same object twice on one page is the controller's own: some classes have that.
    fn add_page(&mut self, batches: &[RowBatch]) -> u64 {
        let dns = batches.iter().flat_map(RowBatch::iter).filter_map(fabrik_core::RowRef::dn);
        let page: HashSet<u64> = dns.map(|dn| self.hasher.hash_one(dn)).collect();
        page.into_iter().filter(|hash| !self.hashes.insert(*hash)).count() as u64
    }
}

impl Reader {
    pub(super) fn page_size(&self, query: &ApicQuery) -> u64 {
        let usual = if query.is_nested() { NESTED_PAGE_SIZE } else { PAGE_SIZE };
        self.options.page_size.unwrap_or(usual)
    }

    /// Reads all of a query in pages of `size` and hands the rows over.
    ///
    /// An error means that nothing was handed over, or that the reading has failed for good.
    pub(super) async fn read_pages(&self, query: &ApicQuery, size: u64) -> Result<Tally, Broken> {
        let Some(class) = query.hit_class() else { return Ok(self.read_at_once(query).await?) };
        let ordered = query.clone().with("order-by", &format!("{class}.dn"));
        let seen = Mutex::new(Seen::default());
        let mut tally = self.read_place(&ordered, Place { offset: 0, size }, None, &seen).await?;
        let total = tally.announced.unwrap_or(0);
        self.progress.announced.fetch_add(total, Ordering::Relaxed);

        let places = (1..total.div_ceil(size)).map(|page| Place { offset: page * size, size });
        let pages = stream::iter(places).map(|place| self.read_place_in_pieces(&ordered, place, total, &seen));
        let mut pages = pages.buffer_unordered(self.options.parallel);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Broken { error, after_rows: tally.delivered > 0 })?;
            tally.add_page(&page);
        }
        Ok(tally)
    }

    /// Reads a query that cannot be ordered, and so not be cut into pages.
    async fn read_at_once(&self, query: &ApicQuery) -> ApicResult<Tally> {
        let seen = Mutex::new(Seen::default());
        let tally = self.read_path(&query.to_string(), 0, &seen).await?;
        self.progress.announced.fetch_add(tally.announced.unwrap_or(0), Ordering::Relaxed);
        Ok(tally)
    }

    /// Reads a page, and where it is too big, in smaller ones.
    async fn read_place_in_pieces(
        &self,
        query: &ApicQuery,
        place: Place,
        total: u64,
        seen: &Mutex<Seen>,
    ) -> ApicResult<Tally> {
        match self.read_place(query, place, Some(total), seen).await {
            Err(error) if error.is_worth_splitting() && place.size >= SMALLER && place.size.is_multiple_of(SMALLER) => {
                let size = place.size / SMALLER;
                let offsets =
                    (place.offset..total.min(place.offset + place.size)).step_by(usize::try_from(size).unwrap_or(1));
                let mut sum = Tally::default();
                for offset in offsets {
                    sum.add_page(&self.read_place(query, Place { offset, size }, Some(total), seen).await?);
                }
                Ok(sum)
            }
            other => other,
        }
    }

    /// Reads a page; `total` is what the first page announced, unless this is the first.
    async fn read_place(
        &self,
        query: &ApicQuery,
        Place { offset, size }: Place,
        total: Option<u64>,
        seen: &Mutex<Seen>,
    ) -> ApicResult<Tally> {
        let number = (offset / size).to_string();
        let page = query.clone().with("page", &number).with("page-size", &size.to_string());
        let mut tally = self.read_path(&page.to_string(), offset, seen).await?;
        if let (Some(total), Some(announced)) = (total, tally.announced)
            && total != announced
        {
            tally.moved_to = Some(announced);
        }
        Ok(tally)
    }

    /// Reads a single page and returns with it the last DN on it, in the controller's order.
    pub(super) async fn read_first(&self, path: &str) -> ApicResult<(Tally, Option<String>)> {
        let _turn = self.turns.acquire().await.map_err(|_| ApicError::Cancelled)?;
        let fetched = self.client.page(path, 0).await?;
        let last = fetched.page.last_dn.clone();
        Ok((self.hand_over(fetched, &Mutex::default()).await?, last))
    }

    async fn read_path(&self, path: &str, offset: u64, seen: &Mutex<Seen>) -> ApicResult<Tally> {
        // Held until the rows are handed over: so many pages, and no more, are in memory.
        let _turn = self.turns.acquire().await.map_err(|_| ApicError::Cancelled)?;
        let fetched = self.client.page(path, offset).await?;
        self.hand_over(fetched, seen).await
    }

    async fn hand_over(&self, fetched: Fetched, seen: &Mutex<Seen>) -> ApicResult<Tally> {
        let page = fetched.page;
        let repeated = seen.lock().map_err(|_| ApicError::Cancelled)?.add_page(&page.batches);
        self.progress.body_bytes.fetch_add(fetched.body_bytes, Ordering::Relaxed);
        self.progress.objects.fetch_add(page.n_objects, Ordering::Relaxed);
        self.progress.pages.fetch_add(1, Ordering::Relaxed);
        for batch in page.batches {
            self.deliver(Delivery::Rows(batch)).await?;
        }
        Ok(Tally { announced: Some(page.total_count), delivered: page.n_objects, repeated, ..Tally::default() })
    }
}

/// Why pages could not be read, and whether some had been handed over before.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) error: ApicError,
    pub(super) after_rows: bool,
}

impl From<ApicError> for Broken {
    fn from(error: ApicError) -> Self {
        Self { error, after_rows: false }
    }
}
