//! The visitors of one program.

use futures_util::future::try_join_all;

use crate::Failed;
use crate::browser::{Browser, Page};

/// Visitors of one program.
pub struct Visitors(Vec<Browser>);

impl Visitors {
    /// As many visitors of the program at this URL.
    ///
    /// # Errors
    /// When there is no HTTP client.
    pub fn new(count: u32, address: &str) -> Result<Self, Failed> {
        Ok(Self((0..count).map(|_| Browser::new(address)).collect::<Result<_, _>>()?))
    }

    /// Requests a page as many times, together, each visitor one after the other.
    ///
    /// # Errors
    /// When an answer is wrong.
    pub async fn request(&self, page: Page, times: u32) -> Result<(), Failed> {
        let visits = self.0.iter().zip(0..).map(async |(browser, visitor)| {
            for number in (visitor..times).step_by(self.0.len()) {
                browser.request(page, number).await?;
            }
            Ok::<_, Failed>(())
        });
        try_join_all(visits).await?;
        Ok(())
    }
}
