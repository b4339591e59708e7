"""The approval service: takes proposals, shows them to reviewers, takes votes, tells the trail."""
