"""An audience of any size: prepared from its sources into parts, each of which fits into a campaign."""
