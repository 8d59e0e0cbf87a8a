machines = {
  dev1 = { address = "10.20.0.11", groups = ["edge"] }
  dev2 = { address = "10.20.0.12", groups = ["edge"] }
}
