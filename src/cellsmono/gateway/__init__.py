"""Protocol faces. Each one speaks to the routers of interfaces and to nothing below them."""
