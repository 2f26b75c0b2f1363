//! Reading a list page by page, up to a limit.

use clap::Args;

use super::{Failure, screen::Screen};

/// What the daemon gives at once.
const PAGE_MAX: u32 = 500;
/// Pages that are read at most: a daemon that always names a next page does not keep us for ever.
const PAGES_MAX: usize = 100_000;

#[derive(Args)]
pub(super) struct PageArgs {
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// List everything there is
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Continue where an earlier list ended
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
}

/// A list as far as it was read.
pub(super) struct Listing<T> {
    pub(super) items: Vec<T>,
    /// Empty when nothing follows.
    pub(super) next_page_token: String,
}

/// Asks for pages of a size, from a page token on, until the limit or the end.
pub(super) async fn read<T>(
    args: PageArgs,
    mut page: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Listing<T>, Failure> {
    let limit = if args.all { usize::MAX } else { args.limit as usize };
    let mut listing = Listing { items: Vec::new(), next_page_token: args.page_token };
    for _ in 0..PAGES_MAX {
        let missing = limit.saturating_sub(listing.items.len());
        let size = u32::try_from(missing).unwrap_or(PAGE_MAX).min(PAGE_MAX);
        let size = i32::try_from(size).unwrap_or(i32::MAX);
        let (items, next) = page(size, std::mem::take(&mut listing.next_page_token)).await?;
        listing.items.extend(items);
        listing.next_page_token = next;
        // A page may be short, or empty, and still not be the last.
        if listing.next_page_token.is_empty() || listing.items.len() >= limit {
            return Ok(listing);
        }
    }
    Ok(listing)
}

impl<T> Listing<T> {
    /// Says on stderr what the table cannot: that it is empty or not the whole.
    pub(super) fn remark(&self, noun: &str, screen: &Screen) {
        if !self.next_page_token.is_empty() {
            let token = &self.next_page_token;
            screen.remark(&format!("more {noun} follow: --all, or --page-token {token}\n"));
        } else if self.items.is_empty() {
            screen.remark(&format!("no {noun}\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads from `pages` of numbers; the page token is the index of the page.
    async fn read_from(pages: &[&[u32]], limit: Option<u32>) -> (Vec<u32>, String, Vec<i32>) {
        let args = PageArgs {
            limit: limit.unwrap_or(100),
            all: limit.is_none(),
            page_token: String::new(),
        };
        let mut sizes = Vec::new();
        let listing = read(args, async |size, token| {
            sizes.push(size);
            let index = token.parse().unwrap_or(0);
            let next =
                if index + 1 < pages.len() { (index + 1).to_string() } else { String::new() };
            Ok((pages[index].to_vec(), next))
        })
        .await
        .unwrap();
        (listing.items, listing.next_page_token, sizes)
    }

    #[tokio::test]
    async fn an_empty_page_is_not_taken_for_the_last() {
        let (items, next, sizes) = read_from(&[&[1, 2], &[], &[3]], None).await;
        assert_eq!((items, next.as_str()), (vec![1, 2, 3], ""));
        assert_eq!(sizes, [500, 500, 500]);
    }

    #[tokio::test]
    async fn no_more_is_asked_for_than_the_limit_leaves() {
        let (items, next, sizes) = read_from(&[&[1, 2], &[3], &[4]], Some(3)).await;
        assert_eq!((items, next.as_str()), (vec![1, 2, 3], "2"));
        assert_eq!(sizes, [3, 1]);
    }
}
