"""Raw tables in, labels out: reading, schema, preprocessing, training, evaluation, and a table's saved model."""
