# What the recipe `pipeline` works with: an example that needs no provider. In the place of terraform_data stand your
# machines: of Proxmox, of a cloud, of libvirt.
#
#   quarterdeck run pipeline --env development --dry-run
#
# development.tfvars beside this file is used in the environment `development`, in a Terraform workspace of the same name.

terraform {
  required_version = ">= 1.4"
}

variable "machines" {
  description = "Machines by name."
  type = map(object({
    address = string
    groups  = optional(list(string), [])
  }))
  default = {}
}

resource "terraform_data" "machine" {
  for_each = var.machines
  input    = each.value
}

# The inventory: by name, an address or an object with `address` and, as far as wanted, `groups`, `user`, `port` and `vars`.
output "nodes" {
  value = { for name, machine in terraform_data.machine : name => machine.output }
}
