"""Record a step as a graph whose nodes keep their role: the operation that made them, and the layer."""
