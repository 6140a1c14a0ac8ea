//! A class that is too big to be read whole, read along the tree and, where there is no tree, along its DNs.

use std::pin::Pin;

use fabrik_core::DN;
use futures_util::{StreamExt, stream};

use super::pages::{Broken, SMALLER};
use super::reader::Reader;
use super::tally::{Missing, Tally};
use crate::error::{ApicError, ApicResult};
use crate::filter::{Filter, Property};
use crate::query::ApicQuery;

/// How often a branch is split again.
const MOST_SPLITS: u32 = 4;
/// More branches than this are not worth a question each.
const MOST_BRANCHES: usize = 2000;
/// What holds the branches that nearly all objects lie below.
const ROOTS: [&str; 2] = ["uni", "topology"];

/// A branch of the tree, by the object at its top.
#[derive(Debug)]
struct Branch {
    dn: String,
    class: String,
}

impl Reader {
    /// Reads a fabric-wide class branch by branch. What cannot be read is noted as missing.
    pub(super) async fn read_tree(&self, query: &ApicQuery, class: &str, announced: Option<u64>) -> ApicResult<Tally> {
        let mut tally = self.read_branches(query, class, self.top_branches().await?, 0).await?;
        tally.announced = announced;
        // The tops themselves, and what hangs elsewhere: relations that were resolved, audit records, statistics.
        if tally.missing.is_empty() && announced.is_none_or(|announced| tally.delivered < announced) {
            let dn = dn_of(class)?;
            let (lt, gt) = (|text| Filter::lt(dn.clone(), text), |text| Filter::gt(dn.clone(), text));
            // `0` is the character after `/`.
            let outside = [lt("topology/"), Filter::and([gt("topology0"), lt("uni/")]), gt("uni0")];
            let outside = query.clone().with_filter(&Filter::or(outside));
            tally.add_branch(self.read_part(&outside, class, None).await?);
        }
        Ok(tally)
    }

    async fn top_branches(&self) -> ApicResult<Vec<Branch>> {
        let mut branches = Vec::new();
        for root in ROOTS {
            branches.extend(self.children(root).await?);
        }
        // Nodes lie below pods, and a pod is too much for a start.
        let (pods, mut branches): (Vec<Branch>, Vec<Branch>) =
            branches.into_iter().partition(|branch| branch.class == "fabricPod");
        for pod in pods {
            branches.extend(self.children(&pod.dn).await?);
        }
        Ok(branches)
    }

    /// Lists the objects just below one.
    async fn children(&self, dn: &str) -> ApicResult<Vec<Branch>> {
        let query = ApicQuery::object(dn)?.with("query-target", "children").with("rsp-prop-include", "naming-only");
        let page = self.client.page(&query.to_string(), 0).await?.page;
        let rows = page.batches.iter().flat_map(|batch| batch.iter());
        let branch = |row: fabrik_core::RowRef<'_>| {
            Some(Branch { dn: row.dn()?.to_owned(), class: row.class_name()?.to_owned() })
        };
        Ok(rows.filter_map(branch).collect())
    }

    async fn read_branches(
        &self,
        query: &ApicQuery,
        class: &str,
        branches: Vec<Branch>,
        depth: u32,
    ) -> ApicResult<Tally> {
        let parts = stream::iter(branches).map(|branch| self.read_branch(query, class, branch, depth));
        let mut parts = parts.buffer_unordered(self.options.parallel);
        let mut sum = Tally::default();
        while let Some(part) = parts.next().await {
            sum.add_branch(part?);
        }
        Ok(sum)
    }

    /// Reads what is at and below a branch. Boxed, because a branch may have branches.
    fn read_branch<'a>(
        &'a self,
        query: &'a ApicQuery,
        class: &'a str,
        branch: Branch,
        depth: u32,
    ) -> Pin<Box<dyn Future<Output = ApicResult<Tally>> + Send + 'a>> {
        Box::pin(async move {
            let narrowed = query.narrowed_to(&branch.dn, class)?;
            let broken = match self.read_pages(&narrowed, self.page_size(query)).await {
                Ok(tally) => return Ok(tally),
                Err(broken) => broken,
            };
            if !broken.error.is_worth_splitting() || broken.after_rows || depth >= MOST_SPLITS {
                return self.note_missing(broken, Some(branch.dn));
            }
            // A node that is down says the same as one that has too much; it cannot list its children either.
            let below = match self.children(&branch.dn).await {
                Ok(below) => below,
                Err(_) => return self.note_missing(broken, Some(branch.dn)),
            };
            if below.len() > MOST_BRANCHES || below.iter().any(|child| child.class == class) {
                return self.read_part(&narrowed, class, Some(branch.dn)).await;
            }
            let mut tally = self.read_branches(query, class, below, depth + 1).await?;
            if branch.class == class {
                let top = ApicQuery::object(&branch.dn)?;
                tally.add_branch(self.read_pages(&top, 1).await.map_err(|broken| broken.error)?);
            }
            Ok(tally)
        })
    }

    /// Reads pages and, where the whole is too much even in pages, one range of DNs after the other.
    async fn read_part(&self, query: &ApicQuery, class: &str, dn: Option<String>) -> ApicResult<Tally> {
        let size = self.page_size(query);
        match self.read_pages(query, size).await {
            Ok(tally) => Ok(tally),
            Err(broken) if broken.error.is_worth_splitting() && !broken.after_rows => {
                match self.read_ranges(query, class, (size / SMALLER).max(1)).await {
                    Ok(tally) => Ok(tally),
                    Err(broken) => self.note_missing(broken, dn),
                }
            }
            Err(broken) => self.note_missing(broken, dn),
        }
    }

    /// Reads the first objects in the order of their DNs, then the first behind those, and so on.
    async fn read_ranges(&self, query: &ApicQuery, class: &str, size: u64) -> Result<Tally, Broken> {
        let name = dn_of(class)?;
        let first = query
            .clone()
            .with("order-by", &format!("{class}.dn"))
            .with("page", "0")
            .with("page-size", &size.to_string());
        let mut sum = Tally::default();
        let mut after: Option<String> = None;
        loop {
            let range = match &after {
                Some(dn) => first.clone().with_filter(&Filter::gt(name.clone(), dn)),
                None => first.clone(),
            };
            let read = self.read_first(&range.to_string()).await;
            let (tally, last) = read.map_err(|error| Broken { error, after_rows: sum.delivered > 0 })?;
            let n_objects = tally.delivered;
            sum.add_page(&tally);
            // A controller that does not understand the range would give the same objects again.
            if n_objects < size || last.is_none() || last <= after {
                return Ok(sum);
            }
            after = last;
        }
    }

    /// Takes note of a part that cannot be read; what concerns the whole controller is an error all the same.
    fn note_missing(&self, broken: Broken, dn: Option<String>) -> ApicResult<Tally> {
        if broken.error.concerns_everything() {
            return Err(broken.error);
        }
        Ok(Tally { missing: vec![Missing { dn, error: broken.error }], ..Tally::default() })
    }
}

fn dn_of(class: &str) -> ApicResult<Property> {
    Property::new(class, DN).map_err(|error| ApicError::invalid("class", class, error.to_string()))
}
