"""The page of a network: one HTML file that steps through its training, with arithmetic made from the recorded step."""
