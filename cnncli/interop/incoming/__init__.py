"""Networks of other frameworks on their way in: layers with weights, and the spec written of them."""
