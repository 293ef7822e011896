"""The network: pretrained weights, the classifier, and the rule of the joint label."""
