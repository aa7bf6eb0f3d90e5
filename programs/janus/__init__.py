"""The eleven programs that JANUS (Jeong et al., NSDI 2019) is measured on."""
