"""Operations of the REST API as data, and how a request becomes one."""
