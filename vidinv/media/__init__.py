"""Read and write video with exact times and native samples; other streams are copied."""
