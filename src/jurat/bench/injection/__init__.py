"""`jurat bench injection`: can texts in and around a picture talk a judge out of its verdict?

`suite` reads the injections, which are data; `scenes` draws them; `plan` runs them as splits of the bench;
`measures` computes the numbers, and `run` and `summary` make results of them.
"""
