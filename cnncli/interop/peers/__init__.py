"""Other frameworks in processes of their own, to be measured against."""
