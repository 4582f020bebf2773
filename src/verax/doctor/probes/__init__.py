"""The probes of the doctor, a file for each idea."""
