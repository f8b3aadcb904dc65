//! Whose store it was before this start. A gateway may be given another id, and its alarms stay; but then it is told and
//! journalled, and it is never done to a store that nobody has named: what waits in it for one platform would go to
//! another.

use crate::config::Site;
use crate::store::{self, Whose};

/// Blocking.
///
/// # Errors
/// It was another gateway's, and the configuration does not name it.
pub(super) fn another(site: &Site) -> anyhow::Result<Option<Whose>> {
    let before = store::of_another(&site.store.dir, &site.company, &site.gateway);
    let Some(before) = before else { return Ok(None) };
    if site.store.is_given {
        return Ok(Some(before));
    }
    let dir = site.store.dir.display();
    anyhow::bail!(
        "{dir} 是企业 {} 网关 {} 的存储，不是此配置的网关 {} 的；请在 [store] dir 写明存储\n\
         {dir} is the store of gateway {} of company {}, and this configuration is of gateway {} of company {}: write \
         [store] dir, a folder of its own; or where that gateway was given another id, write dir = \"{dir}\" and the \
         store becomes its own",
        before.company,
        before.gateway,
        site.gateway,
        before.gateway,
        before.company,
        site.gateway,
        site.company
    )
}
