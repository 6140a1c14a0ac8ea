//! What a row has to show beside its sentence: kept whole up to a limit, in gzip where it is large.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::row::Said;

/// What is larger is kept in gzip.
const LARGE: usize = 1024 * 1024;

/// How content is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentLimits {
    pub(super) most_bytes: usize,
    pub(super) compress_large: bool,
}

/// Puts content into what a row says.
pub(super) fn pack(mut content: Vec<u8>, limits: ContentLimits, said: &mut Said) {
    said.content_size = i64::try_from(content.len()).unwrap_or(i64::MAX);
    if content.len() > limits.most_bytes {
        content.truncate(whole_characters(&content, limits.most_bytes));
        said.content_truncated = true;
    }
    if limits.compress_large && content.len() > LARGE {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&content).expect("memory takes everything");
        content = encoder.finish().expect("memory takes everything");
        said.content_compressed = true;
    }
    said.content = Some(content);
}

/// Returns what was packed, as text.
pub(crate) fn unpack(content: &[u8], is_compressed: bool) -> std::io::Result<String> {
    if !is_compressed {
        return Ok(String::from_utf8_lossy(content).into_owned());
    }
    let mut bytes = Vec::new();
    GzDecoder::new(content).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns where to cut so that no character of UTF-8 is torn: at `most` bytes or up to three before.
fn whole_characters(content: &[u8], most: usize) -> usize {
    let is_start = |at: &usize| content.get(*at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    (most.saturating_sub(3)..=most).rev().find(is_start).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(content: &[u8], limits: ContentLimits) -> Said {
        let mut said = Said::default();
        pack(content.to_vec(), limits, &mut said);
        said
    }

    proptest! {
        #[test]
        fn content_comes_back_up_to_the_limit(text in "\\PC{0,60}", most in 0_usize..80, compress_large: bool) {
            let said = packed(text.as_bytes(), ContentLimits { most_bytes: most, compress_large });

            let back = unpack(said.content.as_deref().unwrap(), said.content_compressed).unwrap();
            prop_assert!(text.starts_with(&back));
            prop_assert!(back.len() <= most && back.len() + 4 > most.min(text.len()));
            prop_assert_eq!(said.content_truncated, back != text);
            prop_assert_eq!(said.content_size, i64::try_from(text.len()).unwrap());
        }
    }

    #[test]
    fn only_large_content_is_compressed_and_only_where_wanted() {
        let limits = |compress_large| ContentLimits { most_bytes: 3 * LARGE, compress_large };
        let (small, large) = (vec![b'a'; LARGE], vec![b'a'; LARGE + 1]);

        assert!(!packed(&small, limits(true)).content_compressed);
        assert_eq!(packed(&large, limits(false)).content.unwrap(), large);
        let said = packed(&large, limits(true));
        assert!(said.content_compressed && said.content.as_ref().unwrap().len() < LARGE / 100);
        assert_eq!(unpack(said.content.as_deref().unwrap(), true).unwrap().into_bytes(), large);
    }
}
