"""Wire forms to typed columns: one decoder a form, none of them knows the model."""
